//! The listening socket and its connections. They are served here because a scripted cut has to
//! stop a write half way, which no HTTP library offers.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};

use axum::Router;
use axum::body::Body;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tower::ServiceExt as _;

/// Accepts connections for ever. Dropping the future closes them all, as the end of a process does.
pub(crate) async fn serve(listener: TcpListener, router: Router) {
    accept_loop::serve(listener, |socket| answer(socket, router.clone())).await;
}

async fn answer(socket: TcpStream, router: Router) {
    let scissors = Scissors::default();
    let connection = Connection { socket, scissors: scissors.clone() };
    let service = service_fn(move |mut request: http::Request<hyper::body::Incoming>| {
        request.extensions_mut().insert(scissors.clone());
        router.clone().oneshot(request.map(Body::new))
    });
    // An error is a client that disconnected or a scripted cut: both are expected.
    let _ = http1::Builder::new()
        .writev(false) // `Connection::poll_write` needs a whole write in one buffer.
        .serve_connection(TokioIo::new(connection), service)
        .await;
}

/// Cuts the connection of a request.
#[derive(Debug, Clone, Default)]
pub(crate) struct Scissors {
    /// Number of bytes at the end of the next write that stay unsent; 0 without a cut.
    held_back: Arc<AtomicUsize>,
}

impl Scissors {
    /// Sends only half of `chunk`, which must be the next and last write, then ends the connection.
    pub(crate) fn cut_within(&self, chunk: &[u8]) {
        // The line ending which closes an HTTP chunk stays behind too.
        self.held_back.store(chunk.len() / 2 + "\r\n".len(), Ordering::Release);
    }
}

struct Connection {
    socket: TcpStream,
    scissors: Scissors,
}

impl AsyncRead for Connection {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_read(cx, buf)
    }
}

impl AsyncWrite for Connection {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        let held_back = self.scissors.held_back.load(Ordering::Acquire);
        // Counted from the end of the buffer: what a slow client has not read yet may stand
        // before the chunk to be cut.
        let sent = buf.len().saturating_sub(held_back);
        if held_back > 0 && sent == 0 {
            return Poll::Ready(Err(io::ErrorKind::ConnectionReset.into()));
        }
        Pin::new(&mut self.socket).poll_write(cx, &buf[..sent])
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_shutdown(cx)
    }
}
