//! The HTTP client: one per process.

use std::sync::Arc;
use std::time::Duration;

use reqwest::header::{ACCEPT, HeaderMap, HeaderName, HeaderValue};
use reqwest::{Client, RequestBuilder};
use secrecy::ExposeSecret;
use serde_json::json;
use shared_core::billing::{OrderId, PaymentAttempt};
use shared_core::clock::Clock;
use shared_core::env::{ConfigError, Env};

use crate::config::{CashfreeConfig, Mode};
use crate::error::{AfterCreate, CallError, CashfreeError, Refusal, ResponseError};
use crate::order::{NewOrder, ProviderOrder};
use crate::payment::read_attempts;
use crate::rate_limits::{Group, RateLimits};
use crate::response::{connection, read_body, text};

const API_VERSION: &str = "2025-01-01";
const CONNECT_WITHIN: Duration = Duration::from_secs(2);
const CREATE_WITHIN: Duration = Duration::from_secs(6);
const LOOK_UP_WITHIN: Duration = Duration::from_secs(4);
/// How long an unused connection is kept; load balancers drop them after a minute or so.
const KEEP_IDLE: Duration = Duration::from_secs(50);
const IDEMPOTENCY_KEY: &str = "x-idempotency-key";
/// The response to an idempotency key that was used before.
const REPLAYED: &str = "x-idempotency-replayed";

/// Client of Cashfree. Cheap to clone; connects on first use. Clones share what they know of rate limits.
#[derive(Clone, Debug)]
pub struct Cashfree {
    http: Client,
    base_url: Arc<str>,
    mode: Mode,
    clock: Clock,
    limits: Arc<RateLimits>,
}

impl Cashfree {
    /// The client of the account in the environment variables; `None` if billing is off.
    pub fn from_env(env: &Env<'_>, clock: Clock) -> Result<Option<Self>, ConfigError> {
        let config = CashfreeConfig::from_env(env)?;
        config.map(|config| Self::new(&config, clock)).transpose()
    }

    /// Prepares the client, without connecting.
    pub fn new(config: &CashfreeConfig, clock: Clock) -> Result<Self, ConfigError> {
        config.check_base_url()?;
        let tls = shared_tls::https_config()
            .map_err(|error| ConfigError::new("CASHFREE_BASE_URL", error))?;
        let http = Client::builder()
            .default_headers(headers(config)?)
            .tls_backend_preconfigured(tls)
            .connect_timeout(CONNECT_WITHIN)
            .pool_idle_timeout(KEEP_IDLE)
            .tcp_nodelay(true)
            // A redirect would carry the secret elsewhere.
            .redirect(reqwest::redirect::Policy::none())
            .build()
            .map_err(|error| ConfigError::new("CASHFREE_BASE_URL", error))?;
        let base_url = config.base_url.as_str().into();
        Ok(Self { http, base_url, mode: config.mode, clock, limits: Arc::default() })
    }

    /// The environment of Cashfree, which the checkout page in the browser has to use, too.
    pub fn mode(&self) -> Mode {
        self.mode
    }

    /// Creates an order, or finds the one that an earlier request with this id has created, in whatever state it is.
    ///
    /// Returns within 10 s, and within 20 s after a server error, which takes a second idempotency key. After
    /// [`Unavailable`](CashfreeError::Unavailable), the order may exist or not; the same request completes it.
    #[tracing::instrument(target = "otel", skip_all, fields(otel.kind = "client"))]
    pub async fn create_order(&self, order: &NewOrder<'_>) -> Result<ProviderOrder, CashfreeError> {
        let mut failure = ResponseError::Malformed("order");
        for key in order.idempotency_keys(self.clock.now()) {
            let error = match self.send_order(order, &key.to_string()).await {
                Ok(created) => return Ok(created),
                Err(error) => error,
            };
            let (cause, is_key_spent) = match error.after_create() {
                AfterCreate::Fail(error) => return Err(error),
                AfterCreate::LookUp { cause, is_key_spent } => (cause, is_key_spent),
            };
            match self.look_up(order.id).await.map_err(CashfreeError::from) {
                Err(CashfreeError::NotFound) => failure = cause,
                found => return found,
            }
            if !is_key_spent {
                break;
            }
        }
        Err(CashfreeError::Unavailable(failure))
    }

    /// Asks for an order. Returns within four seconds.
    #[tracing::instrument(target = "otel", skip_all, fields(otel.kind = "client"))]
    pub async fn order(&self, id: OrderId) -> Result<ProviderOrder, CashfreeError> {
        Ok(self.look_up(id).await?)
    }

    /// Terminates an order, so that no more payments of it begin. Returns its state then: a payment that is under way may
    /// still succeed. Returns within four seconds.
    #[tracing::instrument(target = "otel", skip_all, fields(otel.kind = "client"))]
    pub async fn terminate(&self, id: OrderId) -> Result<ProviderOrder, CashfreeError> {
        let request = self.http.patch(self.order_url(id)).timeout(LOOK_UP_WITHIN);
        let request = request.json(&json!({ "order_status": "TERMINATED" }));
        let read = |body: &str| ProviderOrder::read(body, id);
        self.call(Group::Terminate, request, read).await.map_err(CallError::of_termination)
    }

    /// Asks for the attempts to pay an order. Returns within four seconds.
    #[tracing::instrument(target = "otel", skip_all, fields(otel.kind = "client"))]
    pub async fn payments(&self, id: OrderId) -> Result<Vec<PaymentAttempt>, CashfreeError> {
        let url = format!("{}/payments", self.order_url(id));
        let request = self.http.get(url).timeout(LOOK_UP_WITHIN);
        Ok(self.call(Group::Payments, request, read_attempts).await?)
    }

    async fn send_order(
        &self,
        order: &NewOrder<'_>,
        idempotency_key: &str,
    ) -> Result<ProviderOrder, CallError> {
        let body = order.body().map_err(|_| ResponseError::Malformed("request"))?;
        let request = self.http.post(format!("{}/orders", self.base_url)).json(&body);
        let request = request.header(IDEMPOTENCY_KEY, idempotency_key).timeout(CREATE_WITHIN);
        self.call(Group::Create, request, |body| ProviderOrder::read(body, order.id)).await
    }

    async fn look_up(&self, id: OrderId) -> Result<ProviderOrder, CallError> {
        let request = self.http.get(self.order_url(id)).timeout(LOOK_UP_WITHIN);
        self.call(Group::Order, request, |body| ProviderOrder::read(body, id)).await
    }

    fn order_url(&self, id: OrderId) -> String {
        format!("{}/orders/{id}", self.base_url)
    }

    /// Sends a request and reads its response, unless the limit of its group is reached.
    async fn call<T>(
        &self,
        group: Group,
        request: RequestBuilder,
        read: impl FnOnce(&str) -> Result<T, ResponseError>,
    ) -> Result<T, CallError> {
        if let Some(retry_after) = self.limits.wait(group, self.clock.now()) {
            return Err(CallError::RateLimited { retry_after });
        }
        let body = self.exchange(group, request).await;
        let read = |body: Vec<u8>| Ok(read(text(&body)?)?);
        body.and_then(read).inspect_err(CallError::log)
    }

    async fn exchange(&self, group: Group, request: RequestBuilder) -> Result<Vec<u8>, CallError> {
        let response = request.send().await.map_err(connection)?;
        let (status, headers) = (response.status(), response.headers());
        let now = self.clock.now();
        self.limits.note(group, status, headers, now);
        if status == reqwest::StatusCode::TOO_MANY_REQUESTS {
            let retry_after = self.limits.wait(group, now).unwrap_or(Duration::from_secs(1));
            return Err(CallError::RateLimited { retry_after });
        }
        let is_replay = headers.get(REPLAYED).is_some_and(|value| value == "true");
        if status.is_success() {
            return Ok(read_body(response).await?);
        }
        // What has arrived of an error's body has to do: its status says enough.
        let body = read_body(response).await.unwrap_or_default();
        Err(CallError::Refused { refusal: Refusal::read(status.as_u16(), &body), is_replay })
    }
}

fn headers(config: &CashfreeConfig) -> Result<HeaderMap, ConfigError> {
    let id = sensitive("CASHFREE_CLIENT_ID", &config.client_id)?;
    let secret = sensitive("CASHFREE_CLIENT_SECRET", config.client_secret.expose_secret())?;
    Ok(HeaderMap::from_iter([
        (HeaderName::from_static("x-client-id"), id),
        (HeaderName::from_static("x-client-secret"), secret),
        (HeaderName::from_static("x-api-version"), HeaderValue::from_static(API_VERSION)),
        (ACCEPT, HeaderValue::from_static("application/json")),
    ]))
}

fn sensitive(variable: &str, value: &str) -> Result<HeaderValue, ConfigError> {
    let mut value = HeaderValue::from_str(value)
        .map_err(|_| ConfigError::new(variable, "holds characters that a header cannot"))?;
    value.set_sensitive(true);
    Ok(value)
}
