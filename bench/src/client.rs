//! A client that reads a stream: one connection, raw HTTP/1.1, the time of every read.

use std::net::SocketAddr;

use futures_util::future::try_join_all;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::clock::now;
use crate::script::{Script, Stamp};
use crate::upstream::message_length;
use crate::users::User;
use crate::{Failure, Result};

const QUESTION: &str = "Why do some trees lose their leaves in autumn, and how do they know when?";

/// The last frame.
const DONE: &[u8] = b"data: [DONE]";

/// The size of the read buffer: a read takes all that is ready.
const ROOM: usize = 64 * 1024;

/// The measurements of one turn at its client.
#[derive(Default)]
pub(crate) struct TurnTimes {
    /// Nanoseconds to the first word, without the upstream's own share.
    pub(crate) first: u64,
    /// Nanoseconds to the last frame, after which a client expects nothing more.
    pub(crate) done: u64,
    /// Nanoseconds to the end of the response.
    pub(crate) whole: u64,
    /// Nanoseconds from the upstream's sending of each chunk to its arrival. Only chunks that were sent
    /// after the client's request: it never waited for earlier ones.
    pub(crate) late: Vec<u64>,
}

/// The request of a turn by `user`.
pub(crate) fn chat_request(user: &User<'_>, script: &Script) -> Vec<u8> {
    json_request("POST", "/api/chat", user, &chat_body(user, script))
}

/// The body of that request.
pub(crate) fn chat_body(user: &User<'_>, script: &Script) -> String {
    question(&chat_id(user), "", script)
}

/// The request of a turn in another chat of `user`, with a file if there is the URL of one.
pub(crate) fn question_request(
    user: &User<'_>,
    chat: &str,
    file: Option<&str>,
    script: &Script,
) -> Vec<u8> {
    let file = file.map(|url| format!(r#",{{"type":"file","url":"{url}"}}"#));
    let body = question(chat, &file.unwrap_or_default(), script);
    json_request("POST", "/api/chat", user, &body)
}

fn question(chat: &str, more_parts: &str, script: &Script) -> String {
    format!(
        r#"{{"id":"{chat}","message":{{"role":"user","parts":[{{"type":"text","text":"{QUESTION}"}}{more_parts}]}},"model":"{}"}}"#,
        script.model(),
    )
}

/// A request of `user` with a body.
pub(crate) fn json_request(method: &str, path: &str, user: &User<'_>, body: &str) -> Vec<u8> {
    format!(
        "{method} {path} HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n\
         cookie: __Host-session={}\r\ncontent-length: {}\r\n\r\n{body}",
        user.token,
        body.len(),
    )
    .into_bytes()
}

/// The request that stores an own key of `user`, with a cap, which is used for all turns.
pub(crate) fn key_request(user: &User<'_>) -> Vec<u8> {
    let body = r#"{"key":"sk-or-v1-0123456789abcdef0123456789abcdef","policy":"always","monthlyCapUsd":100000}"#;
    json_request("PUT", "/api/keys/openrouter", user, body)
}

/// The request that follows the live turn of `user`.
pub(crate) fn follow_request(user: &User<'_>) -> Vec<u8> {
    bare_request("GET", "stream", user)
}

/// The request that stops it.
pub(crate) fn stop_request(user: &User<'_>) -> Vec<u8> {
    bare_request("POST", "stop", user)
}

fn bare_request(method: &str, what: &str, user: &User<'_>) -> Vec<u8> {
    format!(
        "{method} /api/chat/{}/{what} HTTP/1.1\r\nhost: localhost\r\n\
         cookie: __Host-session={}\r\ncontent-length: 0\r\n\r\n",
        chat_id(user),
        user.token,
    )
    .into_bytes()
}

fn chat_id(user: &User<'_>) -> String {
    format!("bench-chat-{:06}", user.number)
}

/// The same question, sent to the upstream directly.
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

/// Sends all requests over `at_once` connections, on each the next as soon as the one before is answered with this status.
/// Returns the nanoseconds that each took.
pub(crate) async fn exchange(
    address: SocketAddr,
    at_once: usize,
    requests: &[Vec<u8>],
    status: u16,
) -> Result<Vec<u64>> {
    let exchanging = requests.chunks(requests.len().div_ceil(at_once)).map(async |requests| {
        let mut reader = Reader::connect(address).await?;
        let mut times = Vec::with_capacity(requests.len());
        for request in requests {
            times.push(reader.exchange(request, status).await?);
        }
        Result::<_>::Ok(times)
    });
    Ok(try_join_all(exchanging).await?.into_iter().flatten().collect())
}

/// A connection for one turn after another.
pub(crate) struct Reader {
    socket: TcpStream,
    buffer: Vec<u8>,
    asked: u64,
}

impl Reader {
    /// Connects.
    pub(crate) async fn connect(address: SocketAddr) -> Result<Self> {
        let socket = TcpStream::connect(address).await?;
        socket.set_nodelay(true)?;
        let buffer = Vec::with_capacity(ROOM);
        Ok(Self { socket, buffer, asked: 0 })
    }

    /// Sends `request` and reads the response; each of the upstream's chunks must arrive whole.
    pub(crate) async fn turn(&mut self, request: &[u8], script: &Script) -> Result<TurnTimes> {
        self.ask(request).await?;
        self.read_answer(script).await
    }

    /// Sends `request`; returns the time.
    pub(crate) async fn ask(&mut self, request: &[u8]) -> Result<u64> {
        self.buffer.clear();
        self.asked = now();
        self.socket.write_all(request).await?;
        Ok(self.asked)
    }

    /// Sends `request`, and reads the response, which has to have this status and a length. Returns the nanoseconds that it
    /// took.
    pub(crate) async fn exchange(&mut self, request: &[u8], status: u16) -> Result<u64> {
        self.ask(request).await?;
        self.until(|answer| message_length(answer).filter(|length| *length <= answer.len()))
            .await?;
        let took = now() - self.asked;
        if self.buffer.starts_with(format!("HTTP/1.1 {status}").as_bytes()) {
            Ok(took)
        } else {
            Err(self.unexpected("another status"))
        }
    }

    /// Reads the response from its beginning to its end.
    pub(crate) async fn read_answer(&mut self, script: &Script) -> Result<TurnTimes> {
        let late = Vec::with_capacity(script.chunks);
        let mut times = TurnTimes { late, ..TurnTimes::default() };
        let (mut chunks, mut seen) = (0, 0);
        loop {
            let at = now();
            while let Some((stamp, end)) = Stamp::find(&self.buffer[seen..]) {
                if chunks == 0 {
                    times.first = (at - self.asked).saturating_sub(stamp.sent - stamp.received);
                }
                if stamp.sent > self.asked {
                    times.late.push(at.saturating_sub(stamp.sent));
                }
                chunks += 1;
                seen += end;
            }
            if times.done == 0 && find(&self.buffer[seen..], DONE).is_some() {
                times.done = at - self.asked;
            }
            if self.is_answered() {
                times.whole = at - self.asked;
                break;
            }
            self.read().await?;
        }
        if chunks == script.chunks && find(&self.buffer, br#""type":"error""#).is_none() {
            Ok(times)
        } else {
            Err(self.unexpected("not the whole answer"))
        }
    }

    /// Looks into the response.
    pub(crate) fn answer<T>(&self, look: impl Fn(&[u8]) -> T) -> T {
        look(&self.buffer)
    }

    /// Reads until `find` returns a value for the response so far.
    pub(crate) async fn until<T>(&mut self, find: impl Fn(&[u8]) -> Option<T>) -> Result<T> {
        loop {
            if let Some(found) = find(&self.buffer) {
                return Ok(found);
            }
            self.read().await?;
        }
    }

    async fn read(&mut self) -> Result<()> {
        match self.socket.read_buf(&mut self.buffer).await? {
            0 => Err(self.unexpected("the connection ended")),
            _ => Ok(()),
        }
    }

    /// Whether the last HTTP chunk has arrived, or an error's head.
    fn is_answered(&self) -> bool {
        self.buffer.ends_with(b"\r\n0\r\n\r\n")
            || (self.buffer.len() > 12 && !self.buffer.starts_with(b"HTTP/1.1 200"))
    }

    fn unexpected(&self, what: &str) -> Failure {
        let end = &self.buffer[self.buffer.len().saturating_sub(600)..];
        format!("{what}: … {}", String::from_utf8_lossy(end)).into()
    }
}

/// The position of `text` in `bytes`.
pub(crate) fn find(bytes: &[u8], text: &[u8]) -> Option<usize> {
    bytes.windows(text.len()).position(|window| window == text)
}
