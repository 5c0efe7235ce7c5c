//! Cross-origin requests, answered as the bucket's CORS rules say.

use http::header::{
    ACCESS_CONTROL_ALLOW_CREDENTIALS, ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS,
    ACCESS_CONTROL_ALLOW_ORIGIN, ACCESS_CONTROL_EXPOSE_HEADERS, ACCESS_CONTROL_MAX_AGE,
    ACCESS_CONTROL_REQUEST_HEADERS, ACCESS_CONTROL_REQUEST_METHOD, HeaderName, HeaderValue, ORIGIN,
    VARY,
};
use http::{HeaderMap, Response, StatusCode};
use s3s::{Body, S3Error, S3ErrorCode, s3_error};

const VARIES: &str = "Origin, Access-Control-Request-Headers, Access-Control-Request-Method";
// S3's words, with its misspelling.
const FORBIDDEN: &str = "CORSResponse: This CORS request is not allowed. This is usually because the evalution of Origin, request method / Access-Control-Request-Method or Access-Control-Request-Headers are not whitelisted by the resource's CORS spec.";

/// A rule of the bucket.
pub(crate) struct CorsRule {
    pub(crate) origins: Vec<String>,
    pub(crate) methods: Vec<String>,
    /// In lower case.
    pub(crate) headers: Vec<String>,
    pub(crate) exposed: Vec<String>,
    /// In seconds.
    pub(crate) max_age: Option<u64>,
}

pub(crate) struct Cors(pub(crate) Vec<CorsRule>);

impl Cors {
    /// Answers a preflight.
    pub(crate) fn preflight(&self, asked: &HeaderMap) -> Result<Response<Body>, S3Error> {
        let text = |name: HeaderName| asked.get(name).and_then(|value| value.to_str().ok());
        let bad_request = |message| {
            let mut error =
                S3Error::with_message(S3ErrorCode::Custom("BadRequest".into()), message);
            error.set_status_code(StatusCode::BAD_REQUEST);
            error
        };
        let Some(origin) = text(ORIGIN) else {
            return Err(bad_request("Insufficient information. Origin request header needed."));
        };
        let Some(method) = text(ACCESS_CONTROL_REQUEST_METHOD) else {
            return Err(bad_request("Invalid Access-Control-Request-Method: null"));
        };
        let headers = text(ACCESS_CONTROL_REQUEST_HEADERS).unwrap_or_default().to_lowercase();
        let allows_headers = |rule: &CorsRule| {
            let mut names = headers.split(',').map(str::trim).filter(|name| !name.is_empty());
            names.all(|name| rule.headers.iter().any(|allowed| allowed == name))
        };
        let Some(rule) = self.rule(origin, method).filter(|rule| allows_headers(rule)) else {
            let code = S3ErrorCode::Custom("AccessForbidden".into());
            let mut error = S3Error::with_message(code, FORBIDDEN);
            error.set_status_code(StatusCode::FORBIDDEN);
            return Err(error);
        };
        let mut response = Response::new(Body::empty());
        rule.describe(origin, response.headers_mut());
        if !headers.is_empty() {
            set(response.headers_mut(), ACCESS_CONTROL_ALLOW_HEADERS, &headers);
        }
        Ok(response)
    }

    /// Adds to the response what lets a page of an allowed origin read it.
    pub(crate) fn describe(&self, method: &str, origin: Option<&str>, response: &mut HeaderMap) {
        if let Some(origin) = origin
            && let Some(rule) = self.rule(origin, method)
        {
            rule.describe(origin, response);
        }
    }

    fn rule(&self, origin: &str, method: &str) -> Option<&CorsRule> {
        self.0.iter().find(|rule| {
            let has = |list: &[String], item: &str| list.iter().any(|listed| listed == item);
            has(&rule.origins, origin) && has(&rule.methods, method)
        })
    }
}

impl CorsRule {
    fn describe(&self, origin: &str, headers: &mut HeaderMap) {
        set(headers, ACCESS_CONTROL_ALLOW_ORIGIN, origin);
        set(headers, ACCESS_CONTROL_ALLOW_METHODS, &self.methods.join(", "));
        set(headers, ACCESS_CONTROL_ALLOW_CREDENTIALS, "true");
        set(headers, VARY, VARIES);
        if !self.exposed.is_empty() {
            set(headers, ACCESS_CONTROL_EXPOSE_HEADERS, &self.exposed.join(", "));
        }
        if let Some(seconds) = self.max_age {
            set(headers, ACCESS_CONTROL_MAX_AGE, &seconds.to_string());
        }
    }
}

/// The values come from a request's headers or the template, which are valid.
fn set(headers: &mut HeaderMap, name: HeaderName, value: &str) {
    if let Ok(value) = HeaderValue::from_str(value) {
        headers.insert(name, value);
    }
}

/// An error in S3's XML.
pub(crate) fn refused(error: S3Error) -> Response<Body> {
    let failed = |_| {
        let mut response = Response::new(Body::empty());
        *response.status_mut() = StatusCode::INTERNAL_SERVER_ERROR;
        response
    };
    error.to_http_response().unwrap_or_else(failed)
}

/// S3 has no bucket other than this one here.
pub(crate) fn no_such_bucket() -> S3Error {
    s3_error!(NoSuchBucket, "The specified bucket does not exist")
}
