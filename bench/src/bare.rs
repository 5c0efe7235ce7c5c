//! The baseline: a turn with nothing around it.
//!
//! It does what every implementation must: verify the session's token, send one command to the cache, store
//! the question and read the last five messages in one statement, forward each chunk at once, store the
//! answer in one statement. It omits what the product may not: rate limits, revoked sessions, row-level
//! security, ownership, trees of messages, a row for the answer from the beginning, usage and cost, errors,
//! heartbeats, a live log, logs, a turn that outlives its connection. It never waits for the disk.
//!
//! The libraries are the product's.

use std::convert::Infallible;

use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use axum::serve::ListenerExt;
use axum::{Json, Router};
use bytes::{Bytes, BytesMut};
use deadpool_postgres::{Manager, ManagerConfig, Pool, RecyclingMethod};
use redis::cluster::ClusterClient;
use redis::cluster_async::ClusterConnection;
use serde::{Deserialize, Serialize};
use shared_core::env::Env;
use shared_http::{HttpConfig, SessionKeys, Tokens};
use shared_lambda::system_clock;
use tokio::net::TcpListener;
use tokio_postgres::NoTls;

use crate::Result;

/// The tables of the statements below; run once by the owner of the database.
pub(crate) const SCHEMA: &str = "
    create table bare_messages (
      id       bigint generated always as identity primary key,
      chat_id  text not null,
      role     text not null,
      content  text not null
    );
    create index on bare_messages (chat_id, id);
    grant select, insert on bare_messages to app_user;";

const ASK: &str = "
    with asked as (
      insert into bare_messages (chat_id, role, content) values ($1, 'user', $2)
    )
    select role, content from bare_messages where chat_id = $1 order by id desc limit 5";

const ANSWER: &str = "
    insert into bare_messages (chat_id, role, content) values ($1, 'assistant', $2)";

#[derive(Clone)]
struct Bare {
    tokens: Tokens,
    cache: ClusterConnection,
    database: Pool,
    http: reqwest::Client,
    url: String,
}

/// Serves until the process ends.
pub(crate) async fn serve(listener: TcpListener, env: &Env<'_>) -> Result<()> {
    let mut postgres: tokio_postgres::Config = env.required("DATABASE_URL")?.parse()?;
    postgres.options("-c synchronous_commit=off");
    let recycling_method = RecyclingMethod::Fast;
    let manager = Manager::from_config(postgres, NoTls, ManagerConfig { recycling_method });
    let tls = rustls::ClientConfig::builder_with_provider(
        rustls::crypto::ring::default_provider().into(),
    )
    .with_safe_default_protocol_versions()?
    .with_root_certificates(rustls::RootCertStore::empty())
    .with_no_client_auth();
    let bare = Bare {
        tokens: Tokens::new(&SessionKeys::from_env(env)?, &HttpConfig::from_env(env)?),
        cache: ClusterClient::new([env.required("CACHE_URL")?])?.get_async_connection().await?,
        database: Pool::builder(manager).max_size(env.parsed("DATABASE_POOL_SIZE", 2)?).build()?,
        http: reqwest::Client::builder()
            .tls_backend_preconfigured(tls)
            .tcp_nodelay(true)
            .build()?,
        url: format!("{}/chat/completions", env.required("OPENROUTER_BASE_URL")?),
    };
    let app = Router::new().route("/api/chat", post(turn)).with_state(bare);
    let listener = listener.tap_io(|socket| drop(socket.set_nodelay(true)));
    Ok(axum::serve(listener, app).await?)
}

#[derive(Deserialize)]
struct ChatBody {
    id: String,
    message: Message,
    model: String,
}

#[derive(Deserialize)]
struct Message {
    parts: Vec<Part>,
}

#[derive(Deserialize)]
struct Part {
    text: String,
}

async fn turn(
    State(bare): State<Bare>,
    headers: HeaderMap,
    Json(asked): Json<ChatBody>,
) -> std::result::Result<Response, StatusCode> {
    let token = headers
        .get(header::COOKIE)
        .and_then(|cookie| cookie.to_str().ok()?.strip_prefix("__Host-session="))
        .ok_or(StatusCode::UNAUTHORIZED)?;
    let session =
        bare.tokens.verify(token, system_clock().now()).map_err(|_| StatusCode::UNAUTHORIZED)?;
    let stream =
        bare.begin(asked, &session.user.to_string()).await.map_err(|_| StatusCode::BAD_GATEWAY)?;
    let body = futures_util::stream::unfold(stream, Stream::next);
    let headers = [(header::CONTENT_TYPE, "text/event-stream")];
    Ok((headers, Body::from_stream(body)).into_response())
}

#[derive(Serialize)]
struct Prompt<'a> {
    model: &'a str,
    messages: Vec<PromptMessage>,
    stream: bool,
}

#[derive(Serialize)]
struct PromptMessage {
    role: String,
    content: String,
}

impl Bare {
    async fn begin(self, mut asked: ChatBody, user: &str) -> Result<Stream> {
        let question = asked.message.parts.pop().map_or_else(String::new, |part| part.text);
        let mut cache = self.cache.clone();
        let count = async {
            let key = format!("bare:{{{user}}}");
            let count: u64 = redis::cmd("INCR").arg(key).query_async(&mut cache).await?;
            Result::<_>::Ok(count)
        };
        let store = async {
            let client = self.database.get().await?;
            let ask = client.prepare_cached(ASK).await?;
            Result::<_>::Ok(client.query(&ask, &[&asked.id, &question]).await?)
        };
        let (_, rows) = tokio::try_join!(count, store)?;
        let mut messages = rows
            .iter()
            .rev()
            .map(|row| {
                let (role, content) = (row.try_get(0)?, row.try_get(1)?);
                Result::<_>::Ok(PromptMessage { role, content })
            })
            .collect::<Result<Vec<_>>>()?;
        messages.push(PromptMessage { role: "user".to_owned(), content: question });
        let prompt = Prompt { model: &asked.model, messages, stream: true };
        let upstream = self.http.post(&self.url).json(&prompt).send().await?;
        Ok(Stream {
            upstream: upstream.error_for_status()?,
            unread: BytesMut::new(),
            answer: String::new(),
            database: self.database,
            chat: asked.id,
            ended: false,
        })
    }
}

struct Stream {
    upstream: reqwest::Response,
    unread: BytesMut,
    answer: String,
    database: Pool,
    chat: String,
    ended: bool,
}

#[derive(Deserialize)]
struct Chunk<'a> {
    #[serde(borrow)]
    choices: Vec<Choice<'a>>,
}

#[derive(Deserialize)]
struct Choice<'a> {
    #[serde(borrow)]
    delta: Delta<'a>,
}

#[derive(Deserialize)]
struct Delta<'a> {
    content: &'a str,
}

#[derive(Serialize)]
#[serde(tag = "type", rename = "text-delta")]
struct TextDelta<'a> {
    id: &'a str,
    delta: &'a str,
}

impl Stream {
    /// Returns the frames of the chunks that arrived together; after the last, stores the answer.
    async fn next(mut self) -> Option<(std::result::Result<Bytes, Infallible>, Self)> {
        let mut frames = Vec::new();
        while frames.is_empty() && !self.ended {
            if let Ok(Some(bytes)) = self.upstream.chunk().await {
                self.read(&bytes, &mut frames);
            } else {
                self.ended = true;
                self.store().await.ok()?;
                frames.extend_from_slice(b"data: [DONE]\n\n");
            }
        }
        if frames.is_empty() {
            return None;
        }
        Some((Ok(frames.into()), self))
    }

    /// Appends a frame to `frames` for each chunk that is complete.
    fn read(&mut self, bytes: &[u8], frames: &mut Vec<u8>) {
        self.unread.extend_from_slice(bytes);
        while let Some(end) = self.unread.iter().position(|byte| *byte == b'\n') {
            let line = self.unread.split_to(end + 1);
            let Some(data) = line.strip_prefix(b"data: ") else {
                continue;
            };
            let Ok(chunk) = serde_json::from_slice::<Chunk<'_>>(data) else {
                continue;
            };
            for choice in chunk.choices {
                let delta = choice.delta.content;
                self.answer.push_str(delta);
                frames.extend_from_slice(b"data: ");
                let _ = serde_json::to_writer(&mut *frames, &TextDelta { id: "0", delta });
                frames.extend_from_slice(b"\n\n");
            }
        }
    }

    async fn store(&self) -> Result<()> {
        let client = self.database.get().await?;
        let answer = client.prepare_cached(ANSWER).await?;
        client.execute(&answer, &[&self.chat, &self.answer]).await?;
        Ok(())
    }
}
