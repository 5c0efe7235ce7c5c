//! The scripted upstream: `OpenRouter`'s API, with the script in the model's name.
//!
//! Not the fake of `make dev`, because each chunk carries the time at which it was sent: what a subject
//! adds is then exact for every chunk, however late the upstream's own timer is.

use std::io;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{ReadHalf, WriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until};

use crate::clock::now;
use crate::script::{Script, Stamp};

const HEAD: &str = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n\
                    19\r\n: OPENROUTER PROCESSING\n\n\r\n";

/// Checks a user's own key; all are valid.
const KEY_CHECK: &[u8] = b"GET /api/v1/key ";

/// Asks for the list of models, which has none here: the product tries a model that is not listed.
const LIST: &[u8] = b"GET /api/v1/models ";

/// Asks which clients disconnected in the middle of an answer: the response has a [`Stamp`] for each, with
/// the times of its request and of its disconnection.
pub(crate) const DEPARTURES: &[u8] = b"GET /departures HTTP/1.1\r\nhost: localhost\r\n\r\n";

/// The disconnections so far.
type Departures = Arc<Mutex<Vec<Stamp>>>;

/// Serves until the process ends.
pub(crate) async fn serve(listener: TcpListener) -> io::Result<()> {
    let departures = Departures::default();
    let mut connections = JoinSet::new();
    loop {
        let (socket, _) = listener.accept().await?;
        socket.set_nodelay(true)?;
        let departures = Arc::clone(&departures);
        // An error means that the client disconnected.
        connections.spawn(async move { drop(answer(socket, &departures).await) });
        while connections.try_join_next().is_some() {}
    }
}

async fn answer(mut socket: TcpStream, departures: &Mutex<Vec<Stamp>>) -> io::Result<()> {
    let departures = || departures.lock().unwrap_or_else(PoisonError::into_inner);
    let mut buffer = Vec::with_capacity(16 * 1024);
    while let Some(length) = receive(&mut socket, &mut buffer).await? {
        let received = now();
        let script = Script::of_request(&buffer[..length]);
        let is_key_check = buffer.starts_with(KEY_CHECK);
        let is_list = buffer.starts_with(LIST);
        buffer.drain(..length);
        let Some(script) = script else {
            let body = if is_key_check {
                r#"{"data":{"usage":0}}"#.to_owned()
            } else if is_list {
                r#"{"data":[]}"#.to_owned()
            } else {
                departures().iter().map(Stamp::to_string).collect()
            };
            let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n", body.len());
            socket.write_all((head + &body).as_bytes()).await?;
            continue;
        };
        let (mut from, mut to) = socket.split();
        tokio::select! {
            biased;
            played = play(&mut to, script, received) => played?,
            () = gone(&mut from) => {
                departures().push(Stamp { received, sent: now() });
                return Ok(());
            }
        }
    }
    Ok(())
}

/// Waits until the client has closed the connection.
async fn gone(from: &mut ReadHalf<'_>) {
    if matches!(from.peek(&mut [0]).await, Ok(1..)) {
        // The client has sent its next request already.
        std::future::pending::<()>().await;
    }
}

/// Reads until `buffer` begins with a complete request; returns its length.
async fn receive(socket: &mut TcpStream, buffer: &mut Vec<u8>) -> io::Result<Option<usize>> {
    loop {
        if let Some(length) = message_length(buffer).filter(|length| *length <= buffer.len()) {
            return Ok(Some(length));
        }
        if socket.read_buf(buffer).await? == 0 {
            return Ok(None);
        }
    }
}

/// The length of the request or response at the start of `buffer`, once its head is complete.
pub(crate) fn message_length(buffer: &[u8]) -> Option<usize> {
    let head = buffer.windows(4).position(|end| end == b"\r\n\r\n")?;
    let body = std::str::from_utf8(&buffer[..head])
        .ok()?
        .lines()
        .filter_map(|line| line.split_once(':'))
        .find(|(name, _)| name.eq_ignore_ascii_case("content-length"))
        .map_or(Some(0), |(_, value)| value.trim().parse::<usize>().ok())?;
    Some(head + 4 + body)
}

async fn play(socket: &mut WriteHalf<'_>, script: Script, received: u64) -> io::Result<()> {
    socket.write_all(HEAD.as_bytes()).await?;
    let mut due = Instant::now() + script.silence;
    for _ in 0..script.chunks {
        wait_until(due, script.gap).await;
        due += script.gap;
        let sent = now();
        let frame = event(
            &format!(
                r#"[{{"index":0,"delta":{{"role":"assistant","content":"{}"}},"finish_reason":null,"native_finish_reason":null}}]"#,
                Stamp { received, sent },
            ),
            "",
        );
        socket.write_all(frame.as_bytes()).await?;
    }
    let stop = event(
        r#"[{"index":0,"delta":{"role":"assistant","content":""},"finish_reason":"stop","native_finish_reason":"stop"}]"#,
        "",
    );
    let usage = event(
        "[]",
        r#","usage":{"prompt_tokens":100,"completion_tokens":50,"total_tokens":150,"cost":0.00015}"#,
    );
    let done = chunk("data: [DONE]\n\n");
    let end = format!("{stop}{usage}{done}0\r\n\r\n");
    socket.write_all(end.as_bytes()).await
}

/// Waits only if the chunk is not due yet: the timer rounds up to a whole millisecond.
async fn wait_until(due: Instant, gap: Duration) {
    if due > Instant::now() {
        sleep_until(due).await;
    } else if gap.is_zero() {
        tokio::task::yield_now().await;
    }
}

fn event(choices: &str, rest: &str) -> String {
    chunk(&format!(
        "data: {{\"id\":\"gen-bench\",\"object\":\"chat.completion.chunk\",\"created\":1760000000,\
         \"model\":\"openai/bench\",\"provider\":\"Bench\",\"choices\":{choices}{rest}}}\n\n"
    ))
}

fn chunk(data: &str) -> String {
    format!("{:x}\r\n{data}\r\n", data.len())
}
