//! A fake of `OpenRouter`'s HTTP API, for tests and `make dev`. It is a real server on a loopback port, so that
//! the wire between a client and its answer (chunks, pauses, cuts, error bodies) is real too.
//!
//! The model's id chooses the behaviour:
//!
//! | model | what it answers |
//! | --- | --- |
//! | `fake/echo` | the last user message, one delta a word; of its files, their types and sizes |
//! | `fake/blind` | like `fake/echo`, but takes text only: with an image it is refused with 404 |
//! | `fake/slow` | `1 ` to `200 `, 25 ms apart |
//! | `fake/reasoning` | reasoning, then the echo |
//! | `fake/cited` | the echo, then two `url_citation` annotations |
//! | `fake/usage-with-choices` | the echo; its usage chunk still has a choice with an empty delta |
//! | `fake/crlf` | the echo, its lines ended by `\r\n` |
//! | `fake/burst` | the echo in one write |
//! | `fake/bytes` | the echo, each byte its own write |
//! | `fake/utf8` | a text of multi-byte characters, split inside them by writes of 7 bytes |
//! | `fake/length` | the echo, finished by `length` |
//! | `fake/filtered` | some words, finished by `content_filter` |
//! | `fake/empty` | no word, finished by `stop` |
//! | `fake/fail-first` | 200, and the first frame is an error (502) |
//! | `fake/fail-midstream` | some words, then the error 429 in the stream; no `[DONE]` |
//! | `fake/fail-midstream-string` | the same with the code `"server_error"` |
//! | `fake/cut` | some words, then the connection ends in the middle of a chunk |
//! | `fake/silent` | 200, one comment, then nothing on an open connection |
//! | `fake/hang` | nothing at all, not even headers |
//! | `fake/unstoppable` | like `fake/slow`, but goes on and is charged in full when the client disconnects |
//! | `fake/comments` | a comment every 100 ms, for ever |
//! | `fake/status-<N>` | the HTTP error N, 400 to 599, as `OpenRouter` words it |
//! | `fake/bench-<chunks>-<gap>` | so many equal chunks, the gap in milliseconds, due at absolute times |
//! | any of these with `:free` | the same for nothing |
//! | `openai/gpt-5-mini`, `anthropic/claude-sonnet-4.5`, `google/gemini-2.5-flash`, `deepseek/deepseek-chat-v3.1`, `meta-llama/llama-3.3-70b-instruct` (and `:free`) | like `fake/echo`, at their own prices |
//!
//! A test adds further models, or overrides these, with [`FakeOpenRouter::script`]. Of `OpenRouter`'s API the
//! fake has what the product uses: it only streams, and a request names one model.
//!
//! A word is a token. The fake models charge $0.000001 per prompt token and $0.000002 per completion token.
//!
//! A key starts with `sk-or-v1-`; its suffix chooses the account:
//!
//! | key | account | completions | `GET /key` |
//! | --- | --- | --- | --- |
//! | `…dead` | unknown | 401 | 401 |
//! | `…poor` | spent | 402 | `limit_remaining` 0 |
//! | `…busy` | limited | 429 | 429 |
//! | `…slow` | in good standing | | takes 5 seconds |
//! | `…down` | in good standing | | 503 |
//! | `…expired` | expired | 401 (*) | `expires_at` in the past (*) |
//! | `…managed` | may manage keys only | 403 (*) | `is_management_key` |
//! | other | in good standing | | |
//!
//! A test makes any key unknown with [`FakeOpenRouter::revoke`].
//!
//! `GET /generation` shows the usage of a finished answer to the key that paid for it; to other keys it is
//! unknown (*). A cancelled answer is shown half a second later (*), with `cancelled`. It costs what was
//! generated until then, or the whole answer: as documented, some providers do not stop when the client
//! disconnects. Here these are `fake/unstoppable` and `google/…`; their records are not later than others
//! (*).
//!
//! (*) marks a guess. `OpenRouter` documents that such keys are refused, not how; and that a generation can
//! be looked up, not when, nor with which keys.

mod account;
mod catalogue;
mod clock;
mod completions;
mod connection;
mod errors;
mod frames;
mod gate;
mod generation;
mod memory;
mod models;
mod playback;
mod request;
pub mod script;
mod server;

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

use serde_json::Value;
use tokio::net::TcpListener;
use tokio::task::JoinSet;

use crate::memory::Memory;
pub use crate::request::RecordedRequest;
pub use crate::script::{Script, Status, Step, Stream};

/// A running server. It stops, and its connections end, when this is dropped.
pub struct FakeOpenRouter {
    address: SocketAddr,
    memory: Arc<Memory>,
    /// The accept loop. A set of one, because a set aborts its tasks when it is dropped.
    server: JoinSet<()>,
}

impl FakeOpenRouter {
    /// Starts on a free loopback port.
    pub async fn start() -> io::Result<Self> {
        Self::start_on(SocketAddr::from((Ipv4Addr::LOCALHOST, 0))).await
    }

    /// Starts on `addr`.
    pub async fn start_on(addr: SocketAddr) -> io::Result<Self> {
        let listener = TcpListener::bind(addr).await?;
        let address = listener.local_addr()?;
        let memory = Arc::new(Memory::new());
        let mut server = JoinSet::new();
        server.spawn(connection::serve(listener, server::router(Arc::clone(&memory))));
        Ok(Self { address, memory, server })
    }

    /// Stops listening and ends all connections, as an outage does.
    pub async fn shutdown(mut self) {
        self.server.shutdown().await;
    }

    /// The base URL in place of `https://openrouter.ai/api/v1`: `http://127.0.0.1:PORT/api/v1`.
    pub fn base_url(&self) -> String {
        format!("http://{}/api/v1", self.address)
    }

    /// The address it listens on.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The last 10,000 requests to `chat/completions` in the order of their arrival, including refused ones.
    pub fn requests(&self) -> Vec<RecordedRequest> {
        self.memory.requests()
    }

    /// Makes `model` answer with `script`, instead of its earlier script or built-in behaviour.
    pub fn script(&self, model: impl Into<String>, script: impl Into<Script>) {
        self.memory.set_script(model.into(), script.into());
    }

    /// Replaces the response body of `GET /models`.
    pub fn set_models(&self, models: Value) {
        self.memory.set_models(Some(models));
    }

    /// Never answers `GET /models` from now on.
    pub fn hang_models(&self) {
        self.memory.set_models(None);
    }

    /// Makes `key` unknown from now on, as if its owner had deleted it. Open streams go on.
    pub fn revoke(&self, key: impl Into<String>) {
        self.memory.revoke(key.into());
    }

    /// Number of open streams, including those that hang before their headers.
    pub fn active_streams(&self) -> usize {
        self.memory.streams().active
    }

    /// Number of streams that clients have dropped before their end.
    pub fn dropped_streams(&self) -> usize {
        self.memory.streams().dropped
    }

    /// Waits until clients have dropped `count` streams. The server notices a closed connection a moment
    /// later, so a test has to wait instead of checking once.
    pub async fn wait_for_dropped_streams(&self, count: usize) {
        // Fails only when the sender is gone, and `self` holds it.
        let _ = self.memory.watch_streams().wait_for(|streams| streams.dropped >= count).await;
    }
}

impl std::fmt::Debug for FakeOpenRouter {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("FakeOpenRouter").field("address", &self.address).finish_non_exhaustive()
    }
}
