//! The HTTP client: one per process, its connection kept open between turns.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use jiff::Timestamp;
use reqwest::header::{AUTHORIZATION, HeaderMap, HeaderName, HeaderValue};
use reqwest::{Client, Response, Url};
use secrecy::{ExposeSecret, SecretString};
use serde::{Serialize, Serializer};
use sha2::{Digest, Sha256};
use shared_core::chat::{PromptMessage, Usage};
use shared_core::env::{ConfigError, Env};
use shared_core::error_chain;
use shared_core::ids::{TraceId, UserId};
use shared_core::keys::{KeyError, KeyInfo, ProviderKey};
use shared_core::models::{ListedModel, ModelError, ModelId};

use crate::api_response::{ApiResponseError, read_body};
use crate::error::{ErrorResponse, KeyOwner, ProviderError};
use crate::generation::{LOOK_UP_WITHIN, LookupError, read_generation};
use crate::key::{CHECK_WITHIN, read_check};
use crate::models::{ListError, read_list};
use crate::{ModelStream, OpenRouterConfig, PdfEngine};

/// How long an unused connection is kept; providers' load balancers drop them after a minute or so.
const KEEP_IDLE: Duration = Duration::from_secs(50);
const CONNECT_WITHIN: Duration = Duration::from_secs(5);
/// The list of models is a few hundred kilobytes.
const LIST_WITHIN: Duration = Duration::from_secs(15);
/// Maximum number of bytes read of an error response.
const LONGEST_ERROR: usize = 64 * 1024;

/// Client of `OpenRouter`. Cheap to clone; connects on first use.
#[derive(Clone, Debug)]
pub struct OpenRouter {
    http: Client,
    base_url: Arc<str>,
    idle_timeout: Duration,
    last_used: Arc<Mutex<Option<Instant>>>,
}

/// A chat completion request.
#[derive(Serialize, Debug)]
pub struct CompletionRequest<'a> {
    /// The model.
    pub model: &'a ModelId,
    /// The prompt.
    pub messages: &'a [PromptMessage],
    /// The user. The provider receives a hash of the id, so that one user's abuse is not held against all
    /// users and their identity stays private.
    #[serde(serialize_with = "hashed")]
    pub user: UserId,
    /// The request's trace id: `OpenRouter` stores it with its record of the generation, and exports it with
    /// the account's [traces](https://openrouter.ai/docs/guides/features/broadcast).
    #[serde(serialize_with = "as_trace")]
    pub trace: TraceId,
    /// Who reads the PDFs of the prompt. Always pinned: the provider's default is one that costs.
    #[serde(skip)]
    pub pdf_engine: Option<PdfEngine>,
    /// The user's own key (BYOK); without one, the platform's key pays.
    #[serde(skip)]
    pub key: Option<&'a ProviderKey>,
}

impl CompletionRequest<'_> {
    fn key_owner(&self) -> KeyOwner {
        if self.key.is_some() { KeyOwner::User } else { KeyOwner::Platform }
    }
}

fn hashed<S: Serializer>(user: &UserId, serializer: S) -> Result<S::Ok, S::Error> {
    let hash = Sha256::digest(user.0.as_bytes());
    let half = u128::from_be_bytes(std::array::from_fn(|place| hash[place]));
    serializer.collect_str(&format_args!("{half:032x}"))
}

fn as_trace<S: Serializer>(trace: &TraceId, serializer: S) -> Result<S::Ok, S::Error> {
    #[derive(Serialize)]
    struct Trace {
        trace_id: String,
    }
    Trace { trace_id: trace.to_string() }.serialize(serializer)
}

#[derive(Serialize)]
struct RequestBody<'a> {
    #[serde(flatten)]
    completion: &'a CompletionRequest<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    plugins: Option<[FileParser; 1]>,
    stream: bool,
}

/// The plugin that reads PDFs.
#[derive(Serialize)]
struct FileParser {
    id: &'static str,
    pdf: PdfOptions,
}

#[derive(Serialize)]
struct PdfOptions {
    engine: PdfEngine,
}

impl<'a> RequestBody<'a> {
    fn new(completion: &'a CompletionRequest<'a>) -> Self {
        let parser = |engine| [FileParser { id: "file-parser", pdf: PdfOptions { engine } }];
        Self { completion, plugins: completion.pdf_engine.map(parser), stream: true }
    }
}

impl OpenRouter {
    /// The client of the platform's account, whose key is in `OPENROUTER_API_KEY`.
    pub fn from_env(env: &Env<'_>) -> Result<Self, ConfigError> {
        Self::new(&OpenRouterConfig::from_env(env)?)
    }

    /// A client without the platform's key, for requests that bring their own.
    pub fn from_env_without_key(env: &Env<'_>) -> Result<Self, ConfigError> {
        Self::new(&OpenRouterConfig::without_key(env)?)
    }

    /// Prepares the client, without connecting.
    pub fn new(config: &OpenRouterConfig) -> Result<Self, ConfigError> {
        let mut headers = HeaderMap::new();
        if let Some(origin) = &config.app_origin {
            let referer = HeaderValue::from_str(origin);
            let referer = referer.map_err(|error| ConfigError::new("APP_ORIGIN", error))?;
            headers.insert(HeaderName::from_static("http-referer"), referer);
        }
        if let Some(key) = &config.api_key {
            headers.insert(AUTHORIZATION, bearer(key)?);
        }
        let tls = shared_tls::https_config()
            .map_err(|error| ConfigError::new("OPENROUTER_BASE_URL", error))?;
        let http = Client::builder()
            .default_headers(headers)
            .tls_backend_preconfigured(tls)
            .connect_timeout(CONNECT_WITHIN)
            .pool_idle_timeout(KEEP_IDLE)
            .tcp_nodelay(true)
            // Detects within seconds a peer that vanished without closing the connection.
            .tcp_user_timeout(Duration::from_secs(10))
            .redirect(reqwest::redirect::Policy::none())
            .build()
            .map_err(|error| ConfigError::new("OPENROUTER_BASE_URL", error))?;
        let base_url = config.base_url.as_str().into();
        Ok(Self { http, base_url, idle_timeout: config.idle_timeout, last_used: Arc::default() })
    }

    /// Whether a pooled connection is likely to be open still.
    pub fn is_warm(&self) -> bool {
        let used = *self.last_used.lock().unwrap_or_else(PoisonError::into_inner);
        used.is_some_and(|used| used.elapsed() < KEEP_IDLE)
    }

    /// Opens a connection ahead of the prompt, so that DNS and the TLS handshake are done by then.
    pub async fn warm(self) {
        let head = self.http.head(&*self.base_url).timeout(CONNECT_WITHIN).send().await;
        match head {
            Ok(_) => self.used(),
            Err(error) => {
                tracing::debug!(
                    error = error_chain(&error),
                    "cannot open a connection ahead of time"
                );
            }
        }
    }

    /// Sends a completion request, and waits until the provider accepts or refuses it.
    #[tracing::instrument(
        target = "otel", name = "chat", skip_all,
        fields(
            otel.kind = "client", gen_ai.operation.name = "chat", gen_ai.provider.name = "openrouter",
            gen_ai.request.model = %completion.model,
        )
    )]
    pub async fn complete(
        &self,
        completion: &CompletionRequest<'_>,
    ) -> Result<ModelStream, ModelError> {
        let url = format!("{}/chat/completions", self.base_url);
        let mut request = self.http.post(url).json(&RequestBody::new(completion));
        if let Some(key) = completion.key {
            // Replaces the platform's key: a request's header overrides the client's default.
            request = request.bearer_auth(key.expose());
        }
        let response = match tokio::time::timeout(self.idle_timeout, request.send()).await {
            Err(_) => return Err(ModelError::IdleTimeout),
            Ok(Err(error)) => {
                tracing::warn!(error = error_chain(&error), "the provider cannot be reached");
                return Err(ModelError::Broken);
            }
            Ok(Ok(response)) => response,
        };
        self.used();
        if response.status().is_success() {
            return Ok(ModelStream::new(response, completion.key_owner(), self.idle_timeout));
        }
        Err(read_error(response, completion.key_owner()).await)
    }

    /// Fetches the provider's list of models.
    #[tracing::instrument(target = "otel", skip_all, fields(otel.kind = "client"))]
    pub async fn models(&self) -> Result<Vec<ListedModel>, ListError> {
        let response =
            self.http.get(format!("{}/models", self.base_url)).timeout(LIST_WITHIN).send().await?;
        self.used();
        let body = response.error_for_status()?.bytes().await?;
        read_list(&body)
    }

    /// Checks a user's own key (BYOK), and returns its details if it can be used for completions.
    ///
    /// Returns within four seconds: a user waits for it, behind a gateway with its own timeout.
    #[tracing::instrument(target = "otel", skip_all, fields(otel.kind = "client"))]
    pub async fn check_key(&self, key: &ProviderKey, now: Timestamp) -> Result<KeyInfo, KeyError> {
        let request = self.http.get(format!("{}/key", self.base_url));
        let request = request.bearer_auth(key.expose()).timeout(CHECK_WITHIN);
        let response = request.send().await.map_err(ApiResponseError::from)?;
        self.used();
        let info = read_check(response).await?;
        info.usable(now)?;
        Ok(info)
    }

    /// Looks up the usage of a generation, by the provider's own count; `None` while `OpenRouter` does not
    /// know it. A cancelled generation is known after a moment, and only to the key that paid: the user's
    /// own, or else the platform's.
    ///
    /// Returns within five seconds.
    #[tracing::instrument(target = "otel", skip_all, fields(otel.kind = "client"))]
    pub async fn generation(
        &self,
        id: &str,
        key: Option<&ProviderKey>,
    ) -> Result<Option<Usage>, LookupError> {
        let url = Url::parse_with_params(&format!("{}/generation", self.base_url), [("id", id)]);
        let mut request =
            self.http.get(url.map_err(|error| LookupError::Unexpected(error.into()))?);
        if let Some(key) = key {
            request = request.bearer_auth(key.expose());
        }
        let response =
            request.timeout(LOOK_UP_WITHIN).send().await.map_err(ApiResponseError::from)?;
        self.used();
        read_generation(response).await
    }

    fn used(&self) {
        *self.last_used.lock().unwrap_or_else(PoisonError::into_inner) = Some(Instant::now());
    }
}

fn bearer(key: &SecretString) -> Result<HeaderValue, ConfigError> {
    let mut value =
        HeaderValue::from_str(&format!("Bearer {}", key.expose_secret())).map_err(|_| {
            ConfigError::new("OPENROUTER_API_KEY", "holds characters that a header cannot")
        })?;
    value.set_sensitive(true);
    Ok(value)
}

/// Reads an error response.
async fn read_error(mut response: Response, key_owner: KeyOwner) -> ModelError {
    let mut body = Vec::new();
    // Ignore a timeout: the part that has arrived has to do.
    let read = read_body(&mut response, LONGEST_ERROR, &mut body);
    let _ = tokio::time::timeout(CONNECT_WITHIN, read).await;
    let error = serde_json::from_slice::<ErrorResponse>(&body).ok().map(|response| response.error);
    let error_type = error.as_ref().map_or("", |error| error.error_type());
    let status = response.status().as_u16();
    tracing::warn!(
        upstream.status = status,
        upstream.error_type = error_type,
        byok = key_owner == KeyOwner::User,
        "the provider refused a question"
    );
    ProviderError::of_response(key_owner, status, response.headers(), error.as_ref()).model_error()
}
