//! Merging of chunks (backpressure): to a client that keeps up, each chunk is written by itself; to a
//! client that stalls, all chunks that have gathered are written at once.

use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};
use tokio::time::sleep;

use crate::client::{Reader, chat_request, find};
use crate::script::{Script, Stamp};
use crate::users::Users;
use crate::{Failure, Result};

/// For a client that does not read while the model answers.
const STALLED: Script = Script {
    chunks: 3_000,
    gap: Duration::from_millis(1),
    silence: Duration::from_millis(1),
    // Enough to fill the kernel's buffers (4 MiB to send, by default) long before the end.
    padding: 4_000,
};

/// How chunks arrived.
pub(crate) struct Merging {
    /// Chunks that the upstream sent for the client that keeps up.
    pub(crate) sent: usize,
    /// The largest number of them in one HTTP chunk, which is one write of the product.
    pub(crate) most_in_a_write: usize,
    /// The largest number of them in one read.
    pub(crate) most_in_a_read: usize,
    /// Chunks that the upstream sent for the client that stalls.
    pub(crate) stalled: usize,
    /// HTTP chunks before the largest.
    pub(crate) before_the_drain: usize,
    /// Upstream chunks in the largest HTTP chunk.
    pub(crate) drained: usize,
    /// HTTP chunks after the largest.
    pub(crate) after_the_drain: usize,
}

/// Runs turns of the product at `address`, for a client that keeps up and for one that stalls.
pub(crate) async fn measure(address: SocketAddr, users: &Users) -> Result<Merging> {
    let paced = Script::steady(100, Duration::from_millis(5));
    let request = chat_request(&users.next(), &paced);
    let times = Reader::connect(address).await?.turn(&request, &paced).await?;
    let most_in_a_read = times.most_at_once;

    let request = chat_request(&users.next(), &paced);
    let kept_up = counts(&turn(TcpStream::connect(address).await?, &request, None).await?)?;

    let socket = TcpSocket::new_v4()?;
    socket.set_recv_buffer_size(64 * 1024)?;
    let request = chat_request(&users.next(), &STALLED);
    let pause = STALLED.length() + Duration::from_secs(2);
    let stalled = turn(socket.connect(address).await?, &request, Some(pause)).await?;
    let stalled = counts(&stalled)?;
    let largest = stalled.iter().copied().max().unwrap_or_default();
    let at = stalled.iter().position(|count| *count == largest);
    let at = at.unwrap_or_default();
    Ok(Merging {
        sent: kept_up.iter().sum(),
        most_in_a_write: kept_up.iter().copied().max().unwrap_or_default(),
        most_in_a_read,
        stalled: stalled.iter().sum(),
        before_the_drain: at,
        drained: largest,
        after_the_drain: stalled.len() - at - 1,
    })
}

/// The whole response to `request`, read after `pause` if there is one.
async fn turn(mut socket: TcpStream, request: &[u8], pause: Option<Duration>) -> Result<Vec<u8>> {
    socket.write_all(request).await?;
    if let Some(pause) = pause {
        sleep(pause).await;
    }
    let mut answer = Vec::with_capacity(64 * 1024);
    while !answer.ends_with(b"\r\n0\r\n\r\n") {
        if socket.read_buf(&mut answer).await? == 0 {
            return Err("the connection ended".into());
        }
    }
    Ok(answer)
}

/// The number of upstream chunks in each HTTP chunk of a response.
fn counts(answer: &[u8]) -> Result<Vec<usize>> {
    let malformed = || Failure::from("not a chunked answer");
    let body = find(answer, b"\r\n\r\n").ok_or_else(malformed)? + 4;
    let mut rest = &answer[body..];
    let mut counts = Vec::new();
    loop {
        let line = find(rest, b"\r\n").ok_or_else(malformed)?;
        let length = usize::from_str_radix(std::str::from_utf8(&rest[..line])?, 16)?;
        if length == 0 {
            return Ok(counts);
        }
        let begin = line + 2;
        counts.push(stamps(rest.get(begin..begin + length).ok_or_else(malformed)?));
        rest = &rest[begin + length + 2..];
    }
}

fn stamps(mut bytes: &[u8]) -> usize {
    let mut count = 0;
    while let Some((_, end)) = Stamp::find(bytes) {
        count += 1;
        bytes = &bytes[end..];
    }
    count
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stamps_are_counted_by_http_chunk() {
        let answer =
            b"HTTP/1.1 200 OK\r\n\r\n5\r\nstart\r\na\r\n@1,2;@3,4;\r\n5\r\n@5,6;\r\n0\r\n\r\n";
        assert_eq!(counts(answer).unwrap(), [0, 2, 1]);
    }
}
