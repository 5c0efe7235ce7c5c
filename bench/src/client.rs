//! A reader of streams: one connection, raw HTTP/1.1, the time of every read.

use std::net::SocketAddr;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::clock::now;
use crate::script::{Script, Stamp};
use crate::users::User;
use crate::{Failure, Result};

const QUESTION: &str = "Why do some trees lose their leaves in autumn, and how do they know when?";

/// Room for a read of whatever a stream has ready.
const ROOM: usize = 64 * 1024;

/// What a turn was like for its reader.
pub(crate) struct Heard {
    /// Nanoseconds to the first word, without those that the upstream itself took.
    pub(crate) first: u64,
    /// Nanoseconds from the upstream's sending of each chunk to its arrival.
    pub(crate) late: Vec<u64>,
    /// The most chunks that came in one read.
    pub(crate) most_at_once: usize,
}

/// The request of a turn by `user`.
pub(crate) fn chat_request(user: &User<'_>, script: &Script) -> Vec<u8> {
    let body = chat_body(user, script);
    format!(
        "POST /api/chat HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n\
         cookie: __Host-session={}\r\ncontent-length: {}\r\n\r\n{body}",
        user.token,
        body.len(),
    )
    .into_bytes()
}

/// Its body.
pub(crate) fn chat_body(user: &User<'_>, script: &Script) -> String {
    format!(
        r#"{{"id":"bench-chat-{:06}","message":{{"role":"user","parts":[{{"type":"text","text":"{QUESTION}"}}]}},"model":"{}"}}"#,
        user.number,
        script.model(),
    )
}

/// The same question to the upstream itself.
pub(crate) fn direct_request(script: &Script) -> Vec<u8> {
    let body = format!(
        r#"{{"model":"{}","messages":[{{"role":"user","content":"{QUESTION}"}}],"stream":true}}"#,
        script.model(),
    );
    format!(
        "POST /api/v1/chat/completions HTTP/1.1\r\nhost: localhost\r\n\
         content-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
        body.len(),
    )
    .into_bytes()
}

/// A connection on which one turn follows the other.
pub(crate) struct Reader {
    socket: TcpStream,
    buffer: Vec<u8>,
}

impl Reader {
    /// Connects.
    pub(crate) async fn connect(address: SocketAddr) -> Result<Self> {
        let socket = TcpStream::connect(address).await?;
        socket.set_nodelay(true)?;
        let buffer = Vec::with_capacity(ROOM);
        Ok(Self { socket, buffer })
    }

    /// Sends `request` and reads its answer, in which the upstream's chunks are expected whole.
    pub(crate) async fn turn(&mut self, request: &[u8], script: &Script) -> Result<Heard> {
        self.buffer.clear();
        let mut heard =
            Heard { first: 0, late: Vec::with_capacity(script.chunks), most_at_once: 0 };
        let (began, mut seen) = (now(), 0);
        self.socket.write_all(request).await?;
        while !self.is_answered() {
            if self.socket.read_buf(&mut self.buffer).await? == 0 {
                return Err(self.unexpected("the connection ended"));
            }
            let (at, before) = (now(), heard.late.len());
            while let Some((stamp, end)) = Stamp::find(&self.buffer[seen..]) {
                if heard.late.is_empty() {
                    heard.first = (at - began).saturating_sub(stamp.sent - stamp.received);
                }
                heard.late.push(at.saturating_sub(stamp.sent));
                seen += end;
            }
            heard.most_at_once = heard.most_at_once.max(heard.late.len() - before);
        }
        let whole = heard.late.len() == script.chunks;
        if whole && find(&self.buffer, br#""type":"error""#).is_none() {
            Ok(heard)
        } else {
            Err(self.unexpected("not the whole answer"))
        }
    }

    /// Whether the last piece of a chunked body is there, or an error's head.
    fn is_answered(&self) -> bool {
        self.buffer.ends_with(b"\r\n0\r\n\r\n")
            || (self.buffer.len() > 12 && !self.buffer.starts_with(b"HTTP/1.1 200"))
    }

    fn unexpected(&self, what: &str) -> Failure {
        let end = &self.buffer[self.buffer.len().saturating_sub(600)..];
        format!("{what}: … {}", String::from_utf8_lossy(end)).into()
    }
}

/// Where `text` begins in `bytes`.
pub(crate) fn find(bytes: &[u8], text: &[u8]) -> Option<usize> {
    bytes.windows(text.len()).position(|window| window == text)
}
