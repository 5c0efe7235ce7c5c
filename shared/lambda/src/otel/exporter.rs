//! Spans on the wire: OTLP over HTTP, as protobuf.
//!
//! <https://opentelemetry.io/docs/specs/otlp/#otlphttp>

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Request, StatusCode, Uri, header};
use http_body_util::{BodyExt, Full, Limited};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use opentelemetry::KeyValue;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::transform::common::tonic::ResourceAttributesWithSchema;
use opentelemetry_proto::transform::trace::tonic::group_spans_by_resource_and_scope;
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::trace::SpanData;
use prost::Message;
use shared_core::env::ConfigError;
use shared_core::error_chain;

use super::config::{ENDPOINT, OtelEndpoint};

/// Timeout of an export: the function instance is billed meanwhile.
const WITHIN: Duration = Duration::from_secs(1);
/// How long spans are dropped after a failed export (circuit breaker): a failing collector costs one billed
/// second a minute, and one log line.
const PAUSE: Duration = Duration::from_mins(1);
/// Limit of a collector's response body, in bytes: it is nearly empty.
const LONGEST_ANSWER: usize = 64 * 1024;

/// A connection to a collector, opened when first used.
#[derive(Debug)]
pub(super) struct Exporter {
    client: Client<HttpsConnector<HttpConnector>, Full<Bytes>>,
    url: Uri,
    headers: HeaderMap,
    resource: ResourceAttributesWithSchema,
    failed_at: Mutex<Option<Instant>>,
}

/// Why spans were dropped.
#[derive(Debug, thiserror::Error)]
enum ExportError {
    #[error("it cannot be reached: {}", error_chain(.0))]
    Unreachable(#[from] hyper_util::client::legacy::Error),
    #[error("its answer breaks off")]
    BrokeOff,
    #[error("it answered {0}")]
    Refused(StatusCode),
    #[error("it takes longer than {WITHIN:?}")]
    Slow,
}

impl Exporter {
    /// Creates the client, without connecting.
    pub(super) fn new(endpoint: &OtelEndpoint) -> Result<Self, ConfigError> {
        let tls = shared_tls::client_config(shared_tls::public_roots())
            .map_err(|error| ConfigError::new(ENDPOINT, error))?;
        let connector = HttpsConnectorBuilder::new()
            .with_tls_config(tls)
            .https_or_http()
            .enable_http1()
            .build();
        let mut headers = endpoint.headers.clone();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/x-protobuf"));
        Ok(Self {
            client: Client::builder(TokioExecutor::new()).build(connector),
            url: endpoint.url.clone(),
            headers,
            resource: (&resource(endpoint.service.clone())).into(),
            failed_at: Mutex::default(),
        })
    }

    /// Exports `spans`. A failure is logged, and affects no request.
    pub(super) async fn export(&self, spans: Vec<SpanData>) {
        if spans.is_empty() || self.is_paused() {
            return;
        }
        let sent = tokio::time::timeout(WITHIN, self.send(spans)).await;
        if let Err(error) = sent.unwrap_or(Err(ExportError::Slow)) {
            tracing::warn!(%error, "the OpenTelemetry collector is left alone for a minute");
            *self.failed_at.lock().unwrap_or_else(PoisonError::into_inner) = Some(Instant::now());
        }
    }

    fn is_paused(&self) -> bool {
        let failed_at = *self.failed_at.lock().unwrap_or_else(PoisonError::into_inner);
        failed_at.is_some_and(|at| at.elapsed() < PAUSE)
    }

    async fn send(&self, spans: Vec<SpanData>) -> Result<(), ExportError> {
        let resource_spans = group_spans_by_resource_and_scope(spans, &self.resource);
        let body = Bytes::from(ExportTraceServiceRequest { resource_spans }.encode_to_vec());
        let response = match self.post(body.clone()).await {
            // Retry once: the connection broke during a freeze, or the collector is down; a new one tells.
            Err(_) => self.post(body).await?,
            Ok(response) => response,
        };
        let status = response.status();
        // Read to its end, so that the connection can be used again.
        let rest = Limited::new(response.into_body(), LONGEST_ANSWER).collect().await;
        if !status.is_success() {
            return Err(ExportError::Refused(status));
        }
        rest.map(drop).map_err(|_| ExportError::BrokeOff)
    }

    async fn post(
        &self,
        body: Bytes,
    ) -> Result<http::Response<hyper::body::Incoming>, hyper_util::client::legacy::Error> {
        let mut request = Request::new(Full::new(body));
        *request.method_mut() = http::Method::POST;
        *request.uri_mut() = self.url.clone();
        *request.headers_mut() = self.headers.clone();
        self.client.request(request).await
    }
}

/// The resource attributes of the spans, from Lambda's variables. The SDK adds `OTEL_RESOURCE_ATTRIBUTES`.
fn resource(service: Option<String>) -> Resource {
    let variables = [
        ("faas.name", "AWS_LAMBDA_FUNCTION_NAME"),
        ("faas.version", "AWS_LAMBDA_FUNCTION_VERSION"),
        ("faas.instance", "AWS_LAMBDA_LOG_STREAM_NAME"),
        ("cloud.region", "AWS_REGION"),
    ];
    let found = variables
        .into_iter()
        .filter_map(|(key, variable)| Some(KeyValue::new(key, std::env::var(variable).ok()?)));
    let service = service.or_else(|| std::env::var("AWS_LAMBDA_FUNCTION_NAME").ok());
    Resource::builder()
        .with_attributes(service.map(|service| KeyValue::new("service.name", service)))
        .with_attribute(KeyValue::new("cloud.provider", "aws"))
        .with_attribute(KeyValue::new("cloud.platform", "aws_lambda"))
        .with_attributes(found)
        .build()
}
