//! An OpenTelemetry collector that records what it receives.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::Bytes;
use axum::routing::post;
use http::{HeaderMap, header};
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue};
use opentelemetry_proto::tonic::trace::v1::Span;
use prost::Message;
use tokio::net::TcpListener;
use tokio::task::JoinSet;

/// A collector on a free loopback port. Dropped, it stops.
#[derive(Debug)]
pub struct Collector {
    address: SocketAddr,
    exports: Arc<Mutex<Vec<Export>>>,
    _server: JoinSet<()>,
}

/// One export request.
#[derive(Clone, Debug)]
pub struct Export {
    /// When it arrived.
    pub arrived: Instant,
    /// The request's headers.
    pub headers: HeaderMap,
    /// The request's body: protobuf, in which strings are plain text.
    pub body: Bytes,
}

impl Collector {
    /// Starts one that responds after `takes`.
    pub async fn start(takes: Duration) -> Self {
        let exports = Arc::<Mutex<Vec<Export>>>::default();
        let keep = Arc::clone(&exports);
        let traces = post(async move |headers: HeaderMap, body: Bytes| {
            keep.lock().unwrap().push(Export { arrived: Instant::now(), headers, body });
            tokio::time::sleep(takes).await;
        });
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let mut server = JoinSet::new();
        server.spawn(async move {
            axum::serve(listener, Router::new().route("/v1/traces", traces)).await.unwrap();
        });
        Self { address, exports, _server: server }
    }

    /// The value for `OTEL_EXPORTER_OTLP_ENDPOINT`.
    pub fn endpoint(&self) -> String {
        format!("http://{}", self.address)
    }

    /// All exports, in order.
    pub fn exports(&self) -> Vec<Export> {
        self.exports.lock().unwrap().clone()
    }
}

impl Export {
    /// Its spans, in the order in which they ended.
    pub fn spans(&self) -> Vec<Span> {
        let spans = self.request().resource_spans.into_iter();
        spans.flat_map(|resource| resource.scope_spans).flat_map(|scope| scope.spans).collect()
    }

    /// The span of this name.
    pub fn span(&self, name: &str) -> Span {
        let found = self.spans().into_iter().find(|span| span.name == name);
        found.unwrap_or_else(|| panic!("no {name} in {:?}", self.spans()))
    }

    /// A resource attribute, as text.
    pub fn resource(&self, key: &str) -> String {
        let resource = self.request().resource_spans.swap_remove(0).resource.unwrap();
        attribute(&resource.attributes, key)
    }

    /// Whether `text` occurs anywhere in it.
    pub fn says(&self, text: &str) -> bool {
        self.body.windows(text.len()).any(|bytes| bytes == text.as_bytes())
    }

    fn request(&self) -> ExportTraceServiceRequest {
        assert_eq!(self.headers[header::CONTENT_TYPE], "application/x-protobuf");
        ExportTraceServiceRequest::decode(self.body.clone()).unwrap()
    }
}

/// A span attribute, as text.
pub fn attribute(attributes: &[KeyValue], key: &str) -> String {
    let found = attributes.iter().find(|attribute| attribute.key == key);
    match found.and_then(|attribute| attribute.value.clone()) {
        Some(AnyValue { value: Some(Value::StringValue(text)) }) => text,
        Some(AnyValue { value: Some(Value::IntValue(number)) }) => number.to_string(),
        Some(AnyValue { value: Some(Value::BoolValue(truth)) }) => truth.to_string(),
        other => panic!("{key} is {other:?} in {attributes:?}"),
    }
}
