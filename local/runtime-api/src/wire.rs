//! HTTP/1.1 as far as the Runtime API needs it.
//!
//! Hand-written, because no HTTP library reports which bytes came in which chunk, and when.

use std::io::{Error, ErrorKind, Result};
use std::time::Instant;

use bytes::{Bytes, BytesMut};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::invocation::Chunk;

/// A connection, and its read buffer.
pub(crate) struct Wire {
    socket: TcpStream,
    unused: BytesMut,
    read_at: Instant,
}

/// The head of a request.
pub(crate) struct Head {
    pub(crate) method: String,
    pub(crate) path: String,
    headers: Headers,
}

/// Names in lower case, and values.
struct Headers(Vec<(String, String)>);

/// How much of a body is still to come.
pub(crate) enum Body {
    Chunked,
    Sized(usize),
    /// Complete, with a chunked body's trailers.
    Over(Trailers),
}

/// The trailers after the last chunk.
#[derive(Default)]
pub(crate) struct Trailers(Option<Headers>);

impl Wire {
    pub(crate) fn new(socket: TcpStream) -> Self {
        Self { socket, unused: BytesMut::new(), read_at: Instant::now() }
    }

    /// Reads the head of the next request; `None` if the connection ended before it.
    pub(crate) async fn head(&mut self) -> Result<Option<Head>> {
        loop {
            if let Some(head) = self.until(b"\r\n\r\n") {
                return Head::parse(&head).map(Some);
            }
            if !self.read().await? {
                return if self.unused.is_empty() {
                    Ok(None)
                } else {
                    Err(ErrorKind::UnexpectedEof.into())
                };
            }
        }
    }

    /// Reads the next chunk of `body`. Cancel safe: no bytes are lost.
    pub(crate) async fn chunk(&mut self, body: &mut Body) -> Result<Option<Chunk>> {
        loop {
            if let Some(bytes) = self.chunk_at_hand(body)? {
                return Ok(Some(Chunk { bytes, arrived: self.read_at }));
            }
            if matches!(body, Body::Over(_)) {
                return Ok(None);
            }
            if !self.read().await? {
                return Err(ErrorKind::UnexpectedEof.into());
            }
        }
    }

    /// Waits until the client disconnects; an error if it sends data instead.
    pub(crate) async fn until_closed(&mut self) -> Result<()> {
        if self.read().await? {
            return Err(malformed("a request before the answer to the last one"));
        }
        Ok(())
    }

    pub(crate) async fn write(&mut self, bytes: &[u8]) -> Result<()> {
        self.socket.write_all(bytes).await
    }

    fn chunk_at_hand(&mut self, body: &mut Body) -> Result<Option<Bytes>> {
        match body {
            Body::Over(_) => Ok(None),
            Body::Sized(left) => {
                let bytes = self.unused.split_to(self.unused.len().min(*left)).freeze();
                *left -= bytes.len();
                if *left == 0 {
                    *body = Body::Over(Trailers::default());
                }
                Ok((!bytes.is_empty()).then_some(bytes))
            }
            Body::Chunked => {
                let Some(line) = find(&self.unused, b"\r\n") else {
                    return Ok(None);
                };
                let size = chunk_size(&self.unused[..line])?;
                if size == 0 {
                    if let Some(end) = self.until(b"\r\n\r\n") {
                        let trailers = Headers::parse(&text(&end)?[line + 2..])?;
                        *body = Body::Over(Trailers(Some(trailers)));
                    }
                    return Ok(None);
                }
                let (data, end) = (line + 2, line + 2 + size + 2);
                if self.unused.len() < end {
                    return Ok(None);
                }
                let bytes = self.unused.split_to(end).freeze();
                if !bytes.ends_with(b"\r\n") {
                    return Err(malformed("a chunk longer than its size"));
                }
                Ok(Some(bytes.slice(data..data + size)))
            }
        }
    }

    /// Takes the buffered bytes up to and including `mark`, if it has arrived.
    fn until(&mut self, mark: &[u8]) -> Option<BytesMut> {
        let end = find(&self.unused, mark)? + mark.len();
        Some(self.unused.split_to(end))
    }

    /// Reads what has arrived; `false` if the connection has ended.
    async fn read(&mut self) -> Result<bool> {
        let read = self.socket.read_buf(&mut self.unused).await?;
        self.read_at = Instant::now();
        Ok(read > 0)
    }
}

impl Head {
    fn parse(head: &[u8]) -> Result<Self> {
        let (line, headers) = text(head)?
            .split_once("\r\n")
            .ok_or_else(|| malformed("a request without a first line"))?;
        let mut words = line.split(' ');
        let mut word = || words.next().unwrap_or_default().to_owned();
        Ok(Self { method: word(), path: word(), headers: Headers::parse(headers)? })
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)
    }

    pub(crate) fn body(&self) -> Result<Body> {
        if self.header("transfer-encoding") == Some("chunked") {
            return Ok(Body::Chunked);
        }
        match self.header("content-length").unwrap_or("0").parse() {
            Ok(0) => Ok(Body::Over(Trailers::default())),
            Ok(length) => Ok(Body::Sized(length)),
            Err(_) => Err(malformed("a length that is no number")),
        }
    }
}

impl Headers {
    fn parse(lines: &str) -> Result<Self> {
        let header = |line: &str| {
            let (name, value) = line.split_once(':')?;
            Some((name.to_ascii_lowercase(), value.trim().to_owned()))
        };
        let headers = lines.split("\r\n").filter(|line| !line.is_empty());
        let headers: Option<_> = headers.map(header).collect();
        headers.map(Self).ok_or_else(|| malformed("a header without a name"))
    }

    fn get(&self, name: &str) -> Option<&str> {
        let named = self.0.iter().find(|(its_name, _)| its_name == name);
        named.map(|(_, value)| value.as_str())
    }
}

impl Trailers {
    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        self.0.as_ref()?.get(name)
    }
}

/// Parses the size: hexadecimal, before an optional extension.
fn chunk_size(line: &[u8]) -> Result<usize> {
    let size = text(line)?.split(';').next().unwrap_or_default();
    usize::from_str_radix(size.trim(), 16).map_err(|_| malformed("a chunk without a size"))
}

fn text(bytes: &[u8]) -> Result<&str> {
    std::str::from_utf8(bytes).map_err(|error| Error::new(ErrorKind::InvalidData, error))
}

fn find(bytes: &[u8], mark: &[u8]) -> Option<usize> {
    bytes.windows(mark.len()).position(|window| window == mark)
}

pub(crate) fn malformed(problem: &'static str) -> Error {
    Error::new(ErrorKind::InvalidData, problem)
}
