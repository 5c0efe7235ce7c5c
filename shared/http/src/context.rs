//! The context of an app: the middleware around its routes, and the clock, randomness and user for them.

use std::any::Any;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use axum::Router;
use axum::extract::{FromRef, FromRequestParts, MatchedPath, Request, State};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use http::request::Parts;
use http::{HeaderMap, HeaderValue, StatusCode, header};
use lambda_http::RequestExt;
use shared_core::clock::Clock;
use shared_core::env::{ConfigError, Env};
use shared_core::ids::TraceId;
use shared_core::random::Entropy;
use shared_core::session::{Session, SessionError};
use tower_http::catch_panic::CatchPanicLayer;
use tracing::Instrument;
use utoipa_axum::router::OpenApiRouter;

use crate::cookie::session_token;
use crate::csrf::is_cross_site;
use crate::metrics::measure;
use crate::origin_secret::{Entrance, OriginSecret};
use crate::{ApiError, ClientIp, ErrorCode, Metric, Tokens, otel};
use crate::{system_clock, system_entropy};

/// The configuration of the HTTP edge.
#[derive(Debug, Clone)]
pub struct HttpConfig {
    /// `APP_ORIGIN`: where users open the app, such as `https://chat.example.com`, without a trailing
    /// slash. Requests of other origins are refused, and tokens are issued for it.
    pub origin: String,
    pub(crate) origin_secret: OriginSecret,
}

impl HttpConfig {
    /// Reads the variables named at each field, and `ORIGIN_SECRET`, which the distribution sends
    /// with each request; a request without it is refused. If unset, every request is admitted.
    pub fn from_env(env: &Env<'_>) -> Result<Self, ConfigError> {
        let origin = env.required("APP_ORIGIN")?;
        let is_origin = origin
            .split_once("://")
            .is_some_and(|(_, host)| !host.is_empty() && !host.contains('/'));
        if !is_origin {
            return Err(ConfigError::new("APP_ORIGIN", "has to be like https://chat.example.com"));
        }
        Ok(Self { origin, origin_secret: OriginSecret::from_env(env)? })
    }
}

/// Clock, randomness, and the middleware of every app. Cheap to clone.
#[derive(Clone, Debug)]
pub struct AppContext {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    config: HttpConfig,
    clock: Clock,
    entropy: Entropy,
    /// Whether this process has received a request: the first is a cold start.
    started: AtomicBool,
}

impl AppContext {
    /// The context of this process, with the variables of [`HttpConfig`], the system's clock and its random source.
    pub fn from_env(env: &Env<'_>) -> Result<Self, ConfigError> {
        Ok(Self::new(&HttpConfig::from_env(env)?, system_clock(), system_entropy()))
    }

    /// A context for one origin.
    pub fn new(config: &HttpConfig, clock: Clock, entropy: Entropy) -> Self {
        Self {
            inner: Arc::new(Inner {
                config: config.clone(),
                clock,
                entropy,
                started: AtomicBool::new(false),
            }),
        }
    }

    /// The clock.
    pub fn clock(&self) -> &Clock {
        &self.inner.clock
    }

    /// The random source.
    pub fn entropy(&self) -> &Entropy {
        &self.inner.entropy
    }

    /// The trace id from the gateway, or a new one.
    fn trace_id(&self, headers: &HeaderMap) -> TraceId {
        let xray = headers.get("x-amzn-trace-id").and_then(|value| value.to_str().ok());
        xray.and_then(TraceId::from_xray)
            .unwrap_or_else(|| TraceId::from(self.entropy().uuid(self.clock().now())))
    }

    /// Writes metrics, on Lambda. `about` holds searchable fields beside them: never a user's address, key
    /// or text.
    pub fn measure(&self, metrics: &[Metric], about: &[(&str, &str)]) {
        measure(self.clock().now(), metrics, about);
    }

    /// Admits a request that came through the distribution and from no other site's page (CSRF).
    fn admit(&self, request: &mut Request) -> Result<(), ApiError> {
        let HttpConfig { origin, origin_secret } = &self.inner.config;
        match origin_secret.entrance(request.headers()) {
            Entrance::Unwatched | Entrance::OriginSecret(None) => {}
            Entrance::OriginSecret(Some(address)) => {
                request.extensions_mut().insert(ClientIp(address));
            }
            Entrance::Elsewhere => {
                let message = format!("ask {origin}, not the gateway behind it");
                return Err(ApiError::new(ErrorCode::NotTheFrontDoor, message));
            }
        }
        if is_cross_site(request.method(), request.headers(), origin) {
            let message = "this request came from another site's page";
            return Err(ApiError::new(ErrorCode::CrossSite, message));
        }
        Ok(())
    }

    /// Wraps `routes` in the common middleware: an id and a log line per request, refusal of requests
    /// from other sites or bypassing the distribution, and errors in one form, even for panics and unknown
    /// paths.
    pub fn wrap(&self, routes: Router) -> Router {
        routes
            .fallback(async || ApiError::new(ErrorCode::NotFound, "there is no such route"))
            .method_not_allowed_fallback(async || {
                ApiError::new(ErrorCode::MethodNotAllowed, "this route does not take that method")
            })
            .layer(CatchPanicLayer::custom(internal_error))
            .layer(middleware::from_fn_with_state(self.clone(), guard))
    }
}

/// A function's app: its routes with what they depend on, and the middleware of all functions.
pub fn app<Deps>(routes: OpenApiRouter<Deps>, deps: Deps) -> Router
where
    Deps: Clone + Send + Sync + 'static,
    AppContext: FromRef<Deps>,
{
    let (routes, _) = routes.split_for_parts();
    AppContext::from_ref(&deps).wrap(routes.with_state(deps))
}

async fn guard(State(app): State<AppContext>, mut request: Request, next: Next) -> Response {
    let began = Instant::now();
    let request_id = match request.lambda_context_ref() {
        Some(context) => context.request_id.clone(),
        None => app.entropy().uuid(app.clock().now()).to_string(),
    };
    // The route, not the path: a path can hold ids.
    let route = request.extensions().get::<MatchedPath>().map(|path| path.as_str().to_owned());
    let trace_id = app.trace_id(request.headers());
    let span = tracing::info_span!(
        "request", request_id, %trace_id, method = %request.method(), route
    );
    let is_cold = !app.inner.started.swap(true, Ordering::Relaxed);
    otel::began(&span, trace_id, request.headers(), is_cold);
    request.extensions_mut().insert(trace_id);
    if is_cold {
        app.measure(&[Metric::one("ColdStart")], &[("requestId", &request_id)]);
    }
    let mut response = match app.admit(&mut request) {
        Ok(()) => next.run(request).instrument(span.clone()).await,
        Err(refusal) => refusal.into_response(),
    };
    otel::answered(&span, response.status());
    span.in_scope(|| {
        tracing::info!(
            status = response.status().as_u16(),
            duration_ms = began.elapsed().as_secs_f64() * 1e3,
            "answered"
        );
    });
    if response.status() == StatusCode::INTERNAL_SERVER_ERROR {
        // Lambda counts only errors that its runtime reports, and a caught panic is an ordinary response.
        app.measure(&[Metric::one("InternalError")], &[("requestId", &request_id)]);
    }
    let headers = response.headers_mut();
    if let Ok(id) = HeaderValue::from_str(&request_id) {
        headers.insert("x-request-id", id);
    }
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.entry(header::CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
    response
}

/// The panic hook has logged the panic's own message already.
fn internal_error(_: Box<dyn Any + Send>) -> Response {
    tracing::error!("a handler panicked");
    ApiError::new(ErrorCode::Internal, "something broke on our side; try again").into_response()
}

/// The session of a request with a valid token. Postgres checks whether it was logged out since, at the
/// start of the first transaction.
#[derive(Clone, Copy, Debug)]
pub struct CurrentUser(pub Session);

impl<S: Send + Sync> FromRequestParts<S> for CurrentUser
where
    AppContext: FromRef<S>,
    Tokens: FromRef<S>,
{
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        let token = session_token(&parts.headers).ok_or(SessionError::Missing)?;
        let now = AppContext::from_ref(state).clock().now();
        Ok(Self(Tokens::from_ref(state).verify(token, now)?))
    }
}
