//! The middleware of all functions: an id and a log line per request, CSRF protection, the origin secret, and one form
//! of errors.

use std::any::Any;
use std::time::Instant;

use axum::Router;
use axum::extract::{FromRef, MatchedPath, Request, State};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use http::{HeaderMap, HeaderValue, StatusCode, header};
use lambda_http::RequestExt;
use shared_core::ids::TraceId;
use shared_lambda::{Metric, otel};
use tower_http::catch_panic::CatchPanicLayer;
use tracing::Instrument;

use crate::csrf::is_cross_site;
use crate::origin_secret::OriginCheck;
use crate::{ApiError, AppContext, ClientIp, ErrorCode, HttpConfig};

/// A function's app: its routes with what they depend on, and the middleware of all functions.
pub fn app<Deps>(routes: Router<Deps>, deps: Deps) -> Router
where
    Deps: Clone + Send + Sync + 'static,
    AppContext: FromRef<Deps>,
{
    wrap(routes.with_state(deps.clone()), &AppContext::from_ref(&deps))
}

/// Wraps `routes` in the common middleware: an id and a log line per request, rejection of cross-site requests and of
/// requests that bypass the distribution, and errors in one form, even for panics and unknown paths.
pub fn wrap(routes: Router, app: &AppContext) -> Router {
    routes
        .fallback(async || ApiError::new(ErrorCode::NotFound, "there is no such route"))
        .method_not_allowed_fallback(async || {
            ApiError::new(ErrorCode::MethodNotAllowed, "this route does not take that method")
        })
        .layer(CatchPanicLayer::custom(internal_error))
        .layer(from_fn_with_state(app.clone(), handle))
}

/// Not sent by a browser, and signed: whatever headers the payment provider sends, no user is tricked.
const WEBHOOK: &str = "/api/webhooks/cashfree";

async fn handle(State(app): State<AppContext>, mut request: Request, next: Next) -> Response {
    let began = Instant::now();
    let request_id = match request.lambda_context_ref() {
        Some(context) => context.request_id.clone(),
        None => app.entropy().uuid(app.clock().now()).to_string(),
    };
    // The route, not the path: a path can hold ids.
    let route = request.extensions().get::<MatchedPath>().map(|path| path.as_str().to_owned());
    let trace_id = trace_id(&app, request.headers());
    let span = tracing::info_span!(
        target: otel::REQUEST, "request", request_id, %trace_id, method = %request.method(), route
    );
    let is_cold = app.is_first_request();
    otel::began(&span, trace_id, request.headers(), is_cold);
    request.extensions_mut().insert(trace_id);
    if is_cold {
        app.measure(&[Metric::one("ColdStart")], &[("requestId", &request_id)]);
    }
    let mut response = match admit(app.config(), &mut request) {
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

/// Admits a request that came through the distribution and from no other site's page (CSRF).
fn admit(config: &HttpConfig, request: &mut Request) -> Result<(), ApiError> {
    let HttpConfig { origin, origin_secret } = config;
    match origin_secret.check(request.headers()) {
        OriginCheck::Disabled | OriginCheck::Passed(None) => {}
        OriginCheck::Passed(Some(address)) => {
            request.extensions_mut().insert(ClientIp(address));
        }
        OriginCheck::Failed => {
            let message = format!("ask {origin}, not the gateway behind it");
            return Err(ApiError::new(ErrorCode::DistributionBypassed, message));
        }
    }
    if request.uri().path() != WEBHOOK && is_cross_site(request.method(), request.headers(), origin)
    {
        let message = "this request came from another site's page";
        return Err(ApiError::new(ErrorCode::CrossSite, message));
    }
    Ok(())
}

/// The trace id from the gateway, or a new one.
fn trace_id(app: &AppContext, headers: &HeaderMap) -> TraceId {
    let xray = headers.get("x-amzn-trace-id").and_then(|value| value.to_str().ok());
    xray.and_then(TraceId::from_xray)
        .unwrap_or_else(|| TraceId::from(app.entropy().uuid(app.clock().now())))
}

/// The panic hook has logged the panic's own message already.
fn internal_error(_: Box<dyn Any + Send>) -> Response {
    tracing::error!("a handler panicked");
    ApiError::new(ErrorCode::Internal, "something broke on our side; try again").into_response()
}
