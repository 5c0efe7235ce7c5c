//! The listening socket and its connections. They are served here because a scripted [loss](crate::trouble::Lost) closes
//! one without an answer, which axum does not offer.

use std::io;

use axum::Router;
use axum::body::Body;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::{TcpListener, TcpStream};
use tower::ServiceExt as _;

use crate::trouble::Lost;

/// Accepts connections for ever. Dropping the future closes them all, as the end of a process does.
pub(crate) async fn serve(listener: TcpListener, router: Router) {
    accept_loop::serve(listener, |socket| answer(socket, router.clone())).await;
}

async fn answer(socket: TcpStream, router: Router) {
    let service = service_fn(move |request: http::Request<hyper::body::Incoming>| {
        let answering = router.clone().oneshot(request.map(Body::new));
        async move {
            let response = answering.await.unwrap_or_else(|never| match never {});
            let is_lost = response.extensions().get::<Lost>().is_some();
            if is_lost {
                Err(io::Error::from(io::ErrorKind::ConnectionAborted))
            } else {
                Ok(response)
            }
        }
    });
    // An error is a client that disconnected or a scripted loss: both are expected.
    let _ = http1::Builder::new().serve_connection(TokioIo::new(socket), service).await;
}
