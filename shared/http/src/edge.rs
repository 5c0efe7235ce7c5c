//! What every app is wrapped in, and what its routes ask it for.

use std::any::Any;
use std::sync::Arc;
use std::time::Instant;

use axum::Router;
use axum::extract::{FromRef, FromRequestParts, MatchedPath, Request, State};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use http::request::Parts;
use http::{HeaderValue, header};
use lambda_http::RequestExt;
use shared_core::ambient::{Clock, Entropy};
use shared_core::env::{ConfigError, Env};
use shared_core::session::{Session, SessionError};
use tower_http::catch_panic::CatchPanicLayer;
use tracing::Instrument;

use crate::cookie::session_token;
use crate::csrf::is_cross_site;
use crate::{ApiError, ErrorCode, Tokens};

/// What the edge is told from outside.
#[derive(Debug, Clone)]
pub struct EdgeConfig {
    /// `APP_ORIGIN`: where people open the app, such as `https://chat.example.com`; no slash at the
    /// end. Requests of other origins are refused, and tokens are issued for it.
    pub origin: String,
}

impl EdgeConfig {
    /// Reads the variables named at each field.
    pub fn from_env(env: &Env<'_>) -> Result<Self, ConfigError> {
        let origin = env.required("APP_ORIGIN")?;
        let is_origin = origin
            .split_once("://")
            .is_some_and(|(_, host)| !host.is_empty() && !host.contains('/'));
        if !is_origin {
            return Err(ConfigError::new("APP_ORIGIN", "has to be like https://chat.example.com"));
        }
        Ok(Self { origin })
    }
}

/// Time, chance, and what every app is wrapped in. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Edge {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    origin: String,
    clock: Clock,
    entropy: Entropy,
}

impl Edge {
    /// An edge for one origin.
    pub fn new(config: &EdgeConfig, clock: Clock, entropy: Entropy) -> Self {
        Self { inner: Arc::new(Inner { origin: config.origin.clone(), clock, entropy }) }
    }

    /// The clock.
    pub fn clock(&self) -> &Clock {
        &self.inner.clock
    }

    /// The random source.
    pub fn entropy(&self) -> &Entropy {
        &self.inner.entropy
    }

    /// Puts around `routes` what all of them need: an id and a log line per request, refusal of
    /// other sites' requests, and errors in one form, even for panics and unknown paths.
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

async fn guard(State(edge): State<Edge>, request: Request, next: Next) -> Response {
    let began = Instant::now();
    let request_id = match request.lambda_context_ref() {
        Some(context) => context.request_id.clone(),
        None => edge.entropy().uuid(edge.clock().now()).to_string(),
    };
    // The route, not the path: a path can hold ids.
    let route = request.extensions().get::<MatchedPath>().map(|path| path.as_str().to_owned());
    let span = tracing::info_span!("request", request_id, method = %request.method(), route);
    let mut response = if is_cross_site(request.method(), request.headers(), &edge.inner.origin) {
        ApiError::new(ErrorCode::CrossSite, "this request came from another site's page")
            .into_response()
    } else {
        next.run(request).instrument(span.clone()).await
    };
    span.in_scope(|| {
        tracing::info!(
            status = response.status().as_u16(),
            duration_ms = began.elapsed().as_secs_f64() * 1e3,
            "answered"
        );
    });
    let headers = response.headers_mut();
    if let Ok(id) = HeaderValue::from_str(&request_id) {
        headers.insert("x-request-id", id);
    }
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.entry(header::CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
    response
}

/// The panic's own message is in the log already, put there by the panic hook.
fn internal_error(_: Box<dyn Any + Send>) -> Response {
    tracing::error!("a handler panicked");
    ApiError::new(ErrorCode::Internal, "something broke on our side; try again").into_response()
}

/// The session of a request whose token is good. Whether it was logged out since is for Postgres to
/// say, on the way into the first transaction.
#[derive(Clone, Copy, Debug)]
pub struct SignedIn(pub Session);

impl<S: Send + Sync> FromRequestParts<S> for SignedIn
where
    Edge: FromRef<S>,
    Tokens: FromRef<S>,
{
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        let token = session_token(&parts.headers).ok_or(SessionError::Missing)?;
        let now = Edge::from_ref(state).clock().now();
        Ok(Self(Tokens::from_ref(state).verify(token, now)?))
    }
}
