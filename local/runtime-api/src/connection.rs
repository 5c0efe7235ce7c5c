//! The API's connections and routes.

use std::io::{ErrorKind, Result};
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use bytes::{Bytes, BytesMut};
use tokio::net::{TcpListener, TcpStream};

use crate::TIMEOUT;
use crate::invocation::{FunctionError, InvocationError, Running};
use crate::lambda::Lambda;
use crate::wire::{Body, Head, Wire};

const ERROR_TYPE: &str = "lambda-runtime-function-error-type";
const ERROR_BODY: &str = "lambda-runtime-function-error-body";
const RESPONSE_MODE: &str = "lambda-runtime-function-response-mode";

/// Accepts connections for ever. Dropping the future closes them all.
pub(crate) async fn serve(listener: TcpListener, lambda: Arc<Lambda>) {
    accept_loop::serve(listener, |socket| converse(socket, Arc::clone(&lambda))).await;
}

async fn converse(socket: TcpStream, lambda: Arc<Lambda>) {
    let mut connection = Connection { wire: Wire::new(socket), lambda, taken: None };
    // An error is a function that has exited, or a stream broken by `Invocation::break_stream`.
    let _ = connection.requests().await;
    if let Some(id) = connection.taken {
        connection.lambda.left(&id);
    }
}

struct Connection {
    wire: Wire,
    lambda: Arc<Lambda>,
    /// The invocation that this connection took last. Its answer may arrive on another connection.
    taken: Option<String>,
}

impl Connection {
    async fn requests(&mut self) -> Result<()> {
        while let Some(head) = self.wire.head().await? {
            let path = head.path.strip_prefix("/2018-06-01/runtime/").unwrap_or("");
            let route: Vec<&str> = path.split('/').collect();
            match (head.method.as_str(), route.as_slice()) {
                ("GET", ["invocation", "next"]) => self.next().await?,
                ("POST", ["invocation", id, "response"]) => self.response(&head, id).await?,
                ("POST", ["invocation", id, "error"]) => self.error(&head, id).await?,
                ("POST", ["init", "error"]) => {
                    let error = self.read_error(&head).await?;
                    self.lambda.failed_to_start(error);
                    self.accepted().await?;
                }
                _ => {
                    self.read(&mut head.body()?).await?;
                    self.answer("404 Not Found", "", b"").await?;
                }
            }
        }
        Ok(())
    }

    /// Waits for an event without a timeout: a runtime takes a response without one as an error.
    async fn next(&mut self) -> Result<()> {
        let next = tokio::select! {
            next = self.lambda.next() => next,
            closed = self.wire.until_closed() => {
                closed?;
                None
            }
        };
        let (id, event) = next.ok_or(ErrorKind::ConnectionAborted)?;
        let headers = format!(
            "Lambda-Runtime-Aws-Request-Id: {id}\r\n\
             Lambda-Runtime-Deadline-Ms: {}\r\n\
             Lambda-Runtime-Invoked-Function-Arn: arn:aws:lambda:us-east-1:012345678912:function:test\r\n\
             Lambda-Runtime-Trace-Id: Root=1-00000000-{};Parent=0000000000000001;Sampled=0\r\n",
            deadline_ms(),
            &id.replace('-', "")[..24],
        );
        self.taken = Some(id);
        self.answer("200 OK", &headers, &event).await
    }

    async fn response(&mut self, head: &Head, id: &str) -> Result<()> {
        let mut body = head.body()?;
        let Some(running) = self.lambda.answered(id) else {
            self.read(&mut body).await?;
            return self.refused().await;
        };
        running.begin(head.header(RESPONSE_MODE) == Some("streaming"));
        self.pass_on(&running, &mut body).await?;
        let trailer = |name| match &body {
            Body::Over(trailers) => trailers.get(name),
            Body::Chunked | Body::Sized(_) => None,
        };
        let end = match trailer(ERROR_TYPE) {
            None => Ok(()),
            Some(kind) => Err(InvocationError::Function(FunctionError {
                kind: kind.to_owned(),
                body: Bytes::copy_from_slice(trailer(ERROR_BODY).unwrap_or("").as_bytes()),
            })),
        };
        running.end(end);
        self.accepted().await
    }

    /// Reads an answer to its end; an error ends the connection once `Invocation::break_stream` is called.
    async fn pass_on(&mut self, running: &Running, body: &mut Body) -> Result<()> {
        let broken = running.broken();
        tokio::pin!(broken);
        loop {
            tokio::select! {
                chunk = self.wire.chunk(body) => match chunk? {
                    Some(chunk) => running.chunk(chunk),
                    None => return Ok(()),
                },
                () = &mut broken => return Err(ErrorKind::ConnectionAborted.into()),
            }
        }
    }

    async fn error(&mut self, head: &Head, id: &str) -> Result<()> {
        let error = self.read_error(head).await?;
        match self.lambda.answered(id) {
            Some(running) => {
                running.end(Err(InvocationError::Function(error)));
                self.accepted().await
            }
            None => self.refused().await,
        }
    }

    async fn read_error(&mut self, head: &Head) -> Result<FunctionError> {
        let body = self.read(&mut head.body()?).await?;
        let kind = head.header(ERROR_TYPE).unwrap_or("Runtime.Unknown").to_owned();
        Ok(FunctionError { kind, body })
    }

    async fn read(&mut self, body: &mut Body) -> Result<Bytes> {
        let mut bytes = BytesMut::new();
        while let Some(chunk) = self.wire.chunk(body).await? {
            bytes.extend_from_slice(&chunk.bytes);
        }
        Ok(bytes.freeze())
    }

    async fn accepted(&mut self) -> Result<()> {
        self.answer("202 Accepted", "", b"{\"status\":\"OK\"}\n").await
    }

    async fn refused(&mut self) -> Result<()> {
        const BODY: &[u8] =
            b"{\"errorType\":\"InvalidRequestID\",\"errorMessage\":\"no such invocation is running\"}";
        self.answer("400 Bad Request", "", BODY).await
    }

    /// Sends head and body in one write.
    async fn answer(&mut self, status: &str, headers: &str, body: &[u8]) -> Result<()> {
        let mut answer = format!(
            "HTTP/1.1 {status}\r\nContent-Type: application/json\r\n{headers}Content-Length: {}\r\n\r\n",
            body.len()
        )
        .into_bytes();
        answer.extend_from_slice(body);
        self.wire.write(&answer).await
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "a function's deadline is a time of day, and this stands for the service that sets it"
)]
fn deadline_ms() -> u128 {
    let deadline = SystemTime::now() + TIMEOUT;
    deadline.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis())
}
