//! The HTTP server: each request is logged, perhaps lost, and answered by CORS or S3.

use std::convert::Infallible;
use std::io;
use std::sync::Arc;

use http::{Method, Request, Response, header};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use s3s::Body;
use s3s::service::S3Service;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

use crate::cors::{Cors, refused};
use crate::requests::{Fate, Requests};

/// All that answers a request.
pub(crate) struct Server {
    pub(crate) s3: S3Service,
    pub(crate) cors: Cors,
    pub(crate) requests: Requests,
}

/// The accept loop. Dropping this ends it, with its connections.
pub(crate) struct Serving(JoinHandle<()>);

impl Serving {
    #[expect(clippy::disallowed_methods, reason = "it ends with its handle")]
    pub(crate) fn begin(listener: TcpListener, server: Arc<Server>) -> Self {
        Self(tokio::spawn(accept_loop::serve(listener, move |socket| {
            Arc::clone(&server).converse(socket)
        })))
    }

    /// Ends it, and waits until the port is free.
    pub(crate) async fn end(mut self) {
        self.0.abort();
        // An error is the cancellation.
        let _ = (&mut self.0).await;
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl Server {
    async fn converse(self: Arc<Self>, socket: TcpStream) {
        let service = service_fn(|request| self.answer(request));
        // An error is a client that disconnected or a lost response: both are expected.
        let _ = http1::Builder::new().serve_connection(TokioIo::new(socket), service).await;
    }

    async fn answer(&self, request: Request<Incoming>) -> io::Result<Response<Body>> {
        let fate = self.requests.arrived(request.method(), request.uri(), request.headers());
        if fate == Fate::Hangs {
            std::future::pending::<Infallible>().await;
        }
        let response = self.executed(request).await?;
        if fate == Fate::ResponseLost {
            return Err(io::Error::from(io::ErrorKind::ConnectionAborted));
        }
        Ok(response)
    }

    async fn executed(&self, request: Request<Incoming>) -> io::Result<Response<Body>> {
        if request.method() == Method::OPTIONS {
            return Ok(self.cors.preflight(request.headers()).unwrap_or_else(refused));
        }
        let method = request.method().clone();
        let origin = request.headers().get(header::ORIGIN).cloned();
        let origin = origin.as_ref().and_then(|origin| origin.to_str().ok());
        // Reads the body before it may be refused: a connection that is closed before would lose the answer.
        let (head, body) = request.into_parts();
        let body = body.collect().await.map_err(io::Error::other)?.to_bytes();
        let answered = self.s3.call(Request::from_parts(head, Body::from(body))).await;
        let mut response = answered.map_err(|error| io::Error::other(format!("{error:?}")))?;
        self.cors.describe(method.as_str(), origin, response.headers_mut());
        Ok(response)
    }
}
