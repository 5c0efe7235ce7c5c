//! OpenTelemetry's standard environment variables.

use http::uri::PathAndQuery;
use http::{HeaderMap, HeaderName, HeaderValue, Uri};
use percent_encoding::percent_decode_str;
use shared_core::env::{ConfigError, Env};

pub(super) const ENDPOINT: &str = "OTEL_EXPORTER_OTLP_ENDPOINT";
/// Read by the SDK.
pub(super) const SAMPLER: &str = "OTEL_TRACES_SAMPLER";
const HEADERS: &str = "OTEL_EXPORTER_OTLP_HEADERS";

/// Where spans are exported to, if anywhere.
///
/// <https://opentelemetry.io/docs/specs/otel/protocol/exporter/>
#[derive(Clone, Debug)]
pub struct OtelConfig {
    /// `None` if `OTEL_EXPORTER_OTLP_ENDPOINT` is not set.
    pub endpoint: Option<OtelEndpoint>,
}

/// A collector.
#[derive(Clone, Debug)]
pub struct OtelEndpoint {
    /// `OTEL_EXPORTER_OTLP_ENDPOINT`, such as `http://localhost:4318`, with the path of traces.
    pub url: Uri,
    /// `OTEL_EXPORTER_OTLP_HEADERS`: `name=value,name=value`, values percent-encoded. Sent with every
    /// export, such as a vendor's API key.
    pub headers: HeaderMap,
    /// `OTEL_SERVICE_NAME`; the function's name by default.
    pub service: Option<String>,
}

impl OtelConfig {
    /// Reads the variables named at each field.
    pub fn from_env(env: &Env<'_>) -> Result<Self, ConfigError> {
        let headers = env.optional(HEADERS).unwrap_or_default();
        let service = env.optional("OTEL_SERVICE_NAME");
        let Some(endpoint) = env.optional(ENDPOINT) else {
            return Ok(Self { endpoint: None });
        };
        let url = of_traces(&endpoint)
            .ok_or_else(|| ConfigError::new(ENDPOINT, "has to be like http://localhost:4318"))?;
        let headers = read_headers(&headers)
            .ok_or_else(|| ConfigError::new(HEADERS, "has to be like name=value,name=value"))?;
        Ok(Self { endpoint: Some(OtelEndpoint { url, headers, service }) })
    }
}

fn of_traces(endpoint: &str) -> Option<Uri> {
    let mut parts = endpoint.parse::<Uri>().ok()?.into_parts();
    parts.scheme.as_ref().filter(|scheme| matches!(scheme.as_str(), "http" | "https"))?;
    let path = parts.path_and_query.as_ref().map_or("", PathAndQuery::path);
    let path = format!("{}/v1/traces", path.trim_end_matches('/'));
    parts.path_and_query = Some(path.parse().ok()?);
    Uri::from_parts(parts).ok()
}

fn read_headers(headers: &str) -> Option<HeaderMap> {
    let pairs = headers.split(',').filter(|pair| !pair.trim().is_empty());
    pairs
        .map(|pair| {
            let (name, value) = pair.split_once('=')?;
            let value = percent_decode_str(value.trim()).decode_utf8().ok()?;
            let mut value = HeaderValue::from_str(&value).ok()?;
            value.set_sensitive(true);
            Some((name.trim().parse::<HeaderName>().ok()?, value))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(endpoint: &str, headers: &str) -> Result<OtelConfig, ConfigError> {
        OtelConfig::from_env(&Env::new(|name| match name {
            ENDPOINT => Some(endpoint.into()),
            HEADERS => Some(headers.into()),
            _ => None,
        }))
    }

    #[test]
    fn traces_have_a_path_below_the_endpoint() {
        let url = |endpoint| read(endpoint, "").unwrap().endpoint.unwrap().url.to_string();
        assert_eq!(url("http://localhost:4318"), "http://localhost:4318/v1/traces");
        assert_eq!(url("https://otel.example.com/in/"), "https://otel.example.com/in/v1/traces");
        assert!(read("", "").unwrap().endpoint.is_none());
    }

    #[test]
    fn headers_are_percent_decoded_and_not_shown() {
        let read = read("https://x.example", "x-key=hunter2, authorization=Basic%20YTpi").unwrap();
        let endpoint = read.endpoint.unwrap();
        assert_eq!(endpoint.headers["x-key"], "hunter2");
        assert_eq!(endpoint.headers["authorization"], "Basic YTpi");
        assert!(!format!("{endpoint:?}").contains("hunter2"));
    }

    #[test]
    fn an_invalid_variable_is_named_and_its_value_not_repeated() {
        for endpoint in ["localhost:4317", "grpc://localhost:4317", "hunter2"] {
            let error = read(endpoint, "").unwrap_err().to_string();
            assert!(error.starts_with(ENDPOINT) && !error.contains(endpoint), "{error}");
        }
        let error = read("http://localhost:4318", "hunter2").unwrap_err().to_string();
        assert!(error.starts_with(HEADERS) && !error.contains("hunter2"), "{error}");
    }
}
