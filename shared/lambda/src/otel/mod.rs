//! OpenTelemetry traces: if `OTEL_EXPORTER_OTLP_ENDPOINT` is set, spans are exported to a collector (OTLP
//! over HTTP, protobuf); if not, no spans are recorded.
//!
//! ```text
//!  tracing span ends ──▶ span_buffer ──▶ the response has been delivered ──▶ POST /v1/traces ──▶ next event
//! ```
//!
//! Lambda freezes a function instance that waits for its next event, and an exporter thread would freeze
//! with it: the spans of an invocation are exported before the next event is requested. No client waits
//! for that, but it is billed, for a second at most.
//!
//! Two kinds of spans are exported, by their target: the request's ([`REQUEST`]), and those for traces alone (`otel`). The log omits
//! the latter, so that its lines still name the request.

mod config;
mod exporter;
mod parent;
mod span_buffer;

use std::sync::OnceLock;

use http::{HeaderMap, StatusCode};
use lambda_runtime::{Error, LambdaInvocation};
use opentelemetry::trace::{Status, TracerProvider};
use opentelemetry_sdk::trace::{Sampler, SdkTracerProvider};
use shared_core::env::{ConfigError, Env};
use shared_core::ids::TraceId;
use tower::{Service, ServiceExt};
use tracing::{Level, Span, Subscriber};
use tracing_opentelemetry::OpenTelemetrySpanExt;
use tracing_subscriber::Layer;
use tracing_subscriber::filter::filter_fn;
use tracing_subscriber::registry::LookupSpan;

pub use config::{OtelConfig, OtelEndpoint};
use exporter::Exporter;
use parent::Ids;
use span_buffer::SpanBuffer;

/// The target of spans for traces alone.
pub(crate) const TARGET: &str = "otel";
/// The target of the request's span.
pub const REQUEST: &str = "request";

static TRACES: OnceLock<Traces> = OnceLock::new();

/// The spans and the exporter of this process, if traces are configured.
#[derive(Debug)]
struct Traces {
    span_buffer: SpanBuffer,
    /// Set after the first span: its headers may be a secret, which has to be fetched.
    exporter: OnceLock<Exporter>,
}

/// Records spans from now on, if a collector is configured.
pub(crate) fn layer<S>() -> Option<impl Layer<S> + Send + Sync>
where
    S: Subscriber + for<'a> LookupSpan<'a> + Send + Sync,
{
    let is_set = |variable| std::env::var_os(variable).is_some_and(|value| !value.is_empty());
    if !is_set(config::ENDPOINT) {
        return None;
    }
    let span_buffer = SpanBuffer::default();
    let layer = keeping(span_buffer.clone(), is_set(config::SAMPLER));
    TRACES.set(Traces { span_buffer, exporter: OnceLock::new() }).ok()?;
    Some(layer)
}

fn keeping<S>(span_buffer: SpanBuffer, sampler_is_chosen: bool) -> impl Layer<S> + Send + Sync
where
    S: Subscriber + for<'a> LookupSpan<'a> + Send + Sync,
{
    let mut provider =
        SdkTracerProvider::builder().with_id_generator(Ids).with_span_processor(span_buffer);
    // The SDK reads the variable by itself, but its default would follow X-Ray, which says "not sampled"
    // wherever its own tracing is off.
    if !sampler_is_chosen {
        provider = provider.with_sampler(Sampler::AlwaysOn);
    }
    tracing_opentelemetry::layer()
        .with_tracer(provider.build().tracer(env!("CARGO_PKG_NAME")))
        .with_context_activation(false)
        .with_location(false)
        .with_target(false)
        .with_threads(false)
        .with_tracked_inactivity(false)
        // No events: they belong to the log.
        .with_filter(filter_fn(|metadata| {
            let is_ours = [TARGET, REQUEST].contains(&metadata.target());
            metadata.is_span() && *metadata.level() <= Level::INFO && is_ours
        }))
}

/// Configures the exporter, once secrets are resolved.
pub(crate) fn configure(env: &Env<'_>) -> Result<(), ConfigError> {
    if let Some(traces) = TRACES.get()
        && let Some(endpoint) = OtelConfig::from_env(env)?.endpoint
    {
        let _ = traces.exporter.set(Exporter::new(&endpoint)?);
    }
    Ok(())
}

/// Makes `span` part of the trace in the gateway's headers, and records whether the request is a cold
/// start.
pub fn began(span: &Span, trace: TraceId, headers: &HeaderMap, is_cold: bool) {
    if TRACES.get().is_some() {
        let xray = headers.get("x-amzn-trace-id").and_then(|value| value.to_str().ok());
        parent::set(span, trace, xray.unwrap_or_default());
        span.set_attribute(span_buffer::COLD_START, is_cold);
    }
}

/// Records the response's status on a request's span.
pub fn answered(span: &Span, status: StatusCode) {
    if TRACES.get().is_some() {
        span.set_attribute(span_buffer::STATUS, i64::from(status.as_u16()));
        if status.is_server_error() {
            span.set_status(Status::error(""));
        }
    }
}

/// Wraps a runtime's service, which is done when a response has been delivered: exports the invocation's
/// spans.
pub(crate) fn exporting<S>(
    service: S,
) -> impl Service<LambdaInvocation, Response = (), Error = Error, Future: Send> + Clone + Send + 'static
where
    S: Service<LambdaInvocation, Response = (), Error = Error, Future: Send>
        + Clone
        + Send
        + 'static,
{
    service.then(async |result| {
        export().await;
        result
    })
}

async fn export() {
    if let Some(Traces { span_buffer, exporter }) = TRACES.get()
        && let Some(exporter) = exporter.get()
    {
        exporter.export(span_buffer.take()).await;
    }
}

#[cfg(test)]
mod tests {
    use tracing::subscriber::with_default;
    use tracing_subscriber::layer::SubscriberExt;
    use tracing_subscriber::registry;

    use super::*;

    const XRAY: &str = "Root=1-5759e988-bd862e3fe1be46a994272793";

    /// The spans that `make` records, if a collector is configured.
    fn spans(make: impl FnOnce()) -> Vec<opentelemetry_sdk::trace::SpanData> {
        let span_buffer = SpanBuffer::default();
        with_default(registry().with(keeping(span_buffer.clone(), false)), make);
        span_buffer.take()
    }

    fn request(xray: &str) -> Span {
        let span =
            tracing::info_span!(target: REQUEST, "request", method = "GET", route = "/api/me");
        parent::set(&span, TraceId::from_xray(xray).unwrap(), xray);
        span
    }

    #[test]
    fn a_trace_without_a_parent_begins_with_the_request_under_the_gateways_id() {
        let spans = spans(|| {
            request(XRAY).in_scope(|| drop(tracing::info_span!(target: "otel", "chat")));
            drop(tracing::info_span!(target: "otel", "warm"));
        });
        let [chat, request, warm] = spans.as_slice() else { panic!("{spans:?}") };
        let trace = request.span_context.trace_id();
        assert_eq!(trace.to_string(), "5759e988bd862e3fe1be46a994272793");
        assert_eq!(request.parent_span_id, opentelemetry::trace::SpanId::INVALID);
        assert_eq!(chat.span_context.trace_id(), trace);
        assert_eq!(chat.parent_span_id, request.span_context.span_id());
        // The id is that trace's, not the thread's.
        assert_ne!(warm.span_context.trace_id(), trace);
    }

    #[test]
    fn a_trace_that_x_ray_does_not_record_is_recorded_here() {
        let spans = spans(|| drop(request(&format!("{XRAY};Parent=53995c3f42cd8ad8;Sampled=0"))));
        assert_eq!(spans[0].parent_span_id.to_string(), "53995c3f42cd8ad8");
        assert!(spans[0].span_context.is_sampled());
    }

    #[test]
    fn neither_unknown_fields_nor_events_nor_others_spans_are_exported() {
        let spans = spans(|| {
            let span = tracing::info_span!(target: REQUEST, "request", method = "GET", email = "ada@example.com");
            span.in_scope(|| tracing::error!(error = "ada@example.com", "ada@example.com"));
            drop(tracing::info_span!(target: "hyper", "connection", address = "ada@example.com"));
        });
        assert_eq!(spans.len(), 1, "{spans:?}");
        // With the `@`: ids are random hexadecimal digits.
        assert!(!format!("{spans:?}").contains("ada@"), "{spans:?}");
        assert!(spans[0].events.is_empty());
    }

    #[test]
    fn the_span_buffer_is_bounded() {
        let many = || {
            (0..2 * span_buffer::MOST).for_each(|_| drop(tracing::info_span!(target: "otel", "x")));
        };
        assert_eq!(spans(many).len(), span_buffer::MOST);
    }
}
