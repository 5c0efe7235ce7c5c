//! The spans of an invocation, until they are exported.

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

/// Allowlist of exported attributes: the name in the code, and OpenTelemetry's. All other fields of a span
/// are dropped: a field that is added for the log is not exported by accident.
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

/// Capacity: far more spans than an invocation makes; without an exporter, later spans are dropped.
pub(super) const MOST: usize = 512;

/// Spans that have ended. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub(super) struct SpanBuffer(Arc<Mutex<Vec<SpanData>>>);

impl SpanBuffer {
    /// Takes all spans.
    pub(super) fn take(&self) -> Vec<SpanData> {
        take(&mut *self.spans())
    }

    fn spans(&self) -> MutexGuard<'_, Vec<SpanData>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Names a request's span after OpenTelemetry's conventions.
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
