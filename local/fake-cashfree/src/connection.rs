//! The listening socket and its connections. The accept loop is this crate's own because a scripted
//! [loss](crate::trouble::Lost) closes a connection without an answer, which axum's does not offer.

use std::io;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tower::ServiceExt as _;

use crate::trouble::Lost;

/// Accepts connections for ever. Dropping the future closes them all, as the end of a process does.
pub(crate) async fn serve(listener: TcpListener, router: Router) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((socket, _)) => {
                    connections.spawn(answer(socket, router.clone()));
                }
                // Out of file descriptors: wait until some are closed instead of spinning.
                Err(_) => tokio::time::sleep(Duration::from_millis(20)).await,
            },
            Some(_) = connections.join_next() => {}
        }
    }
}

async fn answer(socket: TcpStream, router: Router) {
    // Fails only on a socket that is closed already, which the next read notices.
    let _ = socket.set_nodelay(true);
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
