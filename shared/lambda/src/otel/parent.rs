//! The parent of a request's span, in a trace that began before it.
//!
//! The gateway's `X-Amzn-Trace-Id` always names the trace. It names a parent only where X-Ray traces
//! the function: otherwise the request is the trace's first span. OpenTelemetry's API takes a trace's id
//! from a parent or generates one, so the id of a trace without a parent is passed to the generator.

use std::cell::Cell;

use opentelemetry::trace::{
    SpanContext, SpanId, TraceContextExt, TraceFlags, TraceId as OtelTraceId, TraceState,
};
use opentelemetry_sdk::trace::{IdGenerator, RandomIdGenerator};
use shared_core::ids::TraceId;
use tracing::Span;
use tracing_opentelemetry::OpenTelemetrySpanExt;

thread_local! {
    /// The id of the trace that this thread's next span without a parent begins.
    static NEXT: Cell<Option<OtelTraceId>> = const { Cell::new(None) };
}

/// Generates ids, except a trace id that is already known.
#[derive(Debug)]
pub(super) struct Ids;

impl IdGenerator for Ids {
    fn new_trace_id(&self) -> OtelTraceId {
        NEXT.take().unwrap_or_else(|| RandomIdGenerator::default().new_trace_id())
    }

    fn new_span_id(&self) -> SpanId {
        RandomIdGenerator::default().new_span_id()
    }
}

/// Puts `span` into `trace`, under the parent that `xray` names.
pub(super) fn set(span: &Span, trace: TraceId, xray: &str) {
    let Ok(trace) = OtelTraceId::from_hex(&trace.to_string()) else {
        return;
    };
    if let Some((parent, sampled)) = parent_of(xray) {
        let parent = SpanContext::new(trace, parent, sampled, true, TraceState::NONE);
        // Fails only where no spans are recorded.
        let _ = span.set_parent(opentelemetry::Context::new().with_remote_span_context(parent));
    } else {
        NEXT.set(Some(trace));
        // Reading its context starts the span, which takes the id.
        let _ = span.context();
        NEXT.take();
    }
}

/// `Root=1-…;Parent=53995c3f42cd8ad8;Sampled=1`
fn parent_of(xray: &str) -> Option<(SpanId, TraceFlags)> {
    let field = |name| {
        let mut fields = xray.split(';').filter_map(|field| field.trim().split_once('='));
        fields.find_map(|(key, value)| (key == name).then_some(value))
    };
    let parent = SpanId::from_hex(field("Parent")?).ok()?;
    let sampled = TraceFlags::default().with_sampled(field("Sampled") == Some("1"));
    (parent != SpanId::INVALID).then_some((parent, sampled))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_header_may_name_a_parent() {
        let parent = SpanId::from_hex("53995c3f42cd8ad8").unwrap();
        let header = |rest| parent_of(&format!("Root=1-5759e988-bd862e3fe1be46a994272793{rest}"));
        assert_eq!(
            header(";Parent=53995c3f42cd8ad8;Sampled=1"),
            Some((parent, TraceFlags::SAMPLED))
        );
        let unsampled = Some((parent, TraceFlags::NOT_SAMPLED));
        assert_eq!(header(";Parent=53995c3f42cd8ad8;Sampled=0;Lineage=a87bd80c:0"), unsampled);
        assert_eq!(header("; Parent=53995c3f42cd8ad8"), unsampled);
        for none in ["", ";Parent=0000000000000000", ";Parent=x", ";Sampled=1"] {
            assert_eq!(header(none), None, "{none}");
        }
    }
}
