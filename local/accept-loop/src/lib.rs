//! The accept loop of the servers for tests and `make dev` that handle their sockets themselves: what they script, such as
//! a connection that breaks off in the middle of a write, no HTTP library offers.

use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

/// Accepts connections for ever, and has `answer` serve each in a task of its own, without Nagle's algorithm. Dropping the
/// future closes them all, as the end of a process does.
pub async fn serve<Answer>(listener: TcpListener, answer: impl Fn(TcpStream) -> Answer)
where
    Answer: Future<Output = ()> + Send + 'static,
{
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((socket, _)) => {
                    // Fails only on a socket that is closed already, which the next read notices.
                    let _ = socket.set_nodelay(true);
                    connections.spawn(answer(socket));
                }
                // Out of file descriptors: wait until some are closed instead of spinning.
                Err(_) => tokio::time::sleep(Duration::from_millis(20)).await,
            },
            Some(_) = connections.join_next() => {}
        }
    }
}
