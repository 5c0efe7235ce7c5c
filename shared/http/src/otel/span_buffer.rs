//! The spans of an invocation, until they leave.

use std::mem::take;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use opentelemetry::trace::SpanKind;
use opentelemetry::{Context, Key, KeyValue};
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::trace::{Span, SpanData, SpanProcessor};

pub(super) const STATUS: &str = "http.response.status_code";
pub(super) const COLD_START: &str = "faas.coldstart";
const METHOD: &str = "http.request.method";
const ROUTE: &str = "http.route";

/// What a span may tell, by the name that it has in the code and the one that OpenTelemetry has for it.
/// Whatever else a span holds stays here: a field that is added for the log does not leave by itself.
///
/// <https://opentelemetry.io/docs/specs/semconv/registry/attributes/>
const ATTRIBUTES: [(&str, &str); 9] = [
    ("request_id", "faas.invocation_id"),
    ("method", METHOD),
    ("route", ROUTE),
    (STATUS, STATUS),
    (COLD_START, COLD_START),
    ("gen_ai.operation.name", "gen_ai.operation.name"),
    ("gen_ai.provider.name", "gen_ai.provider.name"),
    ("gen_ai.request.model", "gen_ai.request.model"),
    ("db.system.name", "db.system.name"),
];

/// More than an invocation makes by far; where there is no exporter, it is the end.
pub(super) const MOST: usize = 512;

/// Spans that have ended. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub(super) struct SpanBuffer(Arc<Mutex<Vec<SpanData>>>);

impl SpanBuffer {
    /// All of them, and none again.
    pub(super) fn take(&self) -> Vec<SpanData> {
        take(&mut *self.spans())
    }

    fn spans(&self) -> MutexGuard<'_, Vec<SpanData>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A request's span, as OpenTelemetry names it.
fn name_request(span: &mut SpanData) {
    let value = |name| {
        let named = |attribute: &&KeyValue| attribute.key.as_str() == name;
        span.attributes.iter().find(named).map(|attribute| attribute.value.as_str())
    };
    if let Some(method) = value(METHOD) {
        span.name = match value(ROUTE) {
            Some(route) => format!("{method} {route}").into(),
            None => method.into_owned().into(),
        };
        span.span_kind = SpanKind::Server;
    }
}

impl SpanProcessor for SpanBuffer {
    fn on_start(&self, _: &mut Span, _: &Context) {}

    fn on_end(&self, mut span: SpanData) {
        span.attributes.retain_mut(|attribute| {
            let known = ATTRIBUTES.iter().find(|(ours, _)| *ours == attribute.key.as_str());
            known.map(|(_, theirs)| attribute.key = Key::from_static_str(theirs)).is_some()
        });
        name_request(&mut span);
        let mut spans = self.spans();
        if spans.len() < MOST {
            spans.push(span);
        }
    }

    fn force_flush(&self) -> OTelSdkResult {
        Ok(())
    }

    fn shutdown_with_timeout(&self, _: Duration) -> OTelSdkResult {
        Ok(())
    }
}
