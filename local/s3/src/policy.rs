//! Whether a request may do what it asks: signed with version 4, entirely, and not denied by the bucket's policy.

use http::{HeaderMap, Method};
use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use s3s::access::{S3Access, S3AccessContext};
use s3s::path::S3Path;
use s3s::{S3ErrorCode, S3Result, s3_error};

use crate::BUCKET;
use crate::cors::no_such_bucket;
use crate::signature::Signature;
use crate::versions::now;

pub(crate) const ANY_ACTION: &str = "s3:*";
pub(crate) const GET_OBJECT: &str = "s3:GetObject";
pub(crate) const PUT_OBJECT: &str = "s3:PutObject";

/// A statement of the policy that denies to everyone.
pub(crate) struct Deny {
    pub(crate) sid: String,
    /// Of the three above.
    pub(crate) actions: Vec<String>,
    /// Below the bucket's ARN: nothing for the bucket itself, `/quarantine/*` for objects.
    pub(crate) resources: Vec<String>,
    /// All must be fulfilled.
    pub(crate) conditions: Vec<Condition>,
}

pub(crate) enum Condition {
    SecureTransport(bool),
    /// Whether the operation creates an object, and not only a part of one.
    ObjectCreation(bool),
    IfNoneMatchIsAbsent(bool),
    /// In milliseconds. Concerns only presigned URLs.
    SignatureOlderThan(u64),
}

/// The access check, which follows s3s's check of the signature's value.
pub(crate) struct Policy(pub(crate) Vec<Deny>);

#[async_trait::async_trait]
impl S3Access for Policy {
    async fn check(&self, context: &mut S3AccessContext<'_>) -> S3Result<()> {
        let signature = Signature::of(context.uri(), context.headers())?;
        let resource = match context.s3_path() {
            S3Path::Object { bucket, key } if **bucket == *BUCKET => format!("/{key}"),
            S3Path::Bucket { bucket } if **bucket == *BUCKET => String::new(),
            S3Path::Root | S3Path::Bucket { .. } | S3Path::Object { .. } => {
                return Err(no_such_bucket());
            }
        };
        let operation = context.s3_op().name();
        let request = Request { operation, resource, signature, headers: context.headers() };
        if let Some(deny) = self.0.iter().find(|deny| deny.concerns(&request)) {
            let message =
                format!("Access Denied by the statement {} of the resource-based policy", deny.sid);
            return Err(s3s::S3Error::with_message(S3ErrorCode::AccessDenied, message));
        }
        let has_length = context.headers().contains_key(http::header::CONTENT_LENGTH);
        let is_upload = context.method() == Method::PUT && operation != "CopyObject";
        if is_upload && !has_length {
            let message = "You must provide the Content-Length HTTP header.";
            return Err(s3_error!(MissingContentLength, "{message}"));
        }
        Ok(())
    }
}

struct Request<'a> {
    operation: &'a str,
    resource: String,
    signature: Signature,
    headers: &'a HeaderMap,
}

impl Request<'_> {
    /// The IAM action, of those that a statement may name.
    fn action(&self) -> &'static str {
        match self.operation {
            "GetObject" | "HeadObject" => GET_OBJECT,
            "PutObject"
            | "CopyObject"
            | "PostObject"
            | "CreateMultipartUpload"
            | "UploadPart"
            | "UploadPartCopy"
            | "CompleteMultipartUpload" => PUT_OBJECT,
            _ => "another action",
        }
    }

    fn creates_object(&self) -> bool {
        matches!(
            self.operation,
            "PutObject" | "CopyObject" | "PostObject" | "CompleteMultipartUpload"
        )
    }
}

impl Deny {
    fn concerns(&self, request: &Request<'_>) -> bool {
        self.actions.iter().any(|action| action == ANY_ACTION || action == request.action())
            && self.resources.iter().any(|pattern| matches(pattern, &request.resource))
            && self.conditions.iter().all(|condition| condition.is_fulfilled(request))
    }
}

impl Condition {
    fn is_fulfilled(&self, request: &Request<'_>) -> bool {
        match self {
            // Loopback counts as secure.
            Self::SecureTransport(expected) => *expected,
            Self::ObjectCreation(expected) => *expected == request.creates_object(),
            Self::IfNoneMatchIsAbsent(expected) => {
                *expected != request.headers.contains_key(http::header::IF_NONE_MATCH)
            }
            Self::SignatureOlderThan(limit) => {
                let presigned_at = request.signature.presigned_at.as_deref();
                presigned_at.is_some_and(|date| age(date).is_none_or(|age| age > *limit))
            }
        }
    }
}

/// In milliseconds; `None` if it cannot be read.
fn age(date: &str) -> Option<u64> {
    let signed = DateTime::strptime("%Y%m%dT%H%M%SZ", date).ok()?.to_zoned(TimeZone::UTC).ok()?;
    let now = Timestamp::try_from(now()).ok()?;
    let age = now.duration_since(signed.timestamp());
    // A date in the future, within the tolerance for clocks, has no age yet.
    Some(u64::try_from(age.as_millis()).unwrap_or(0))
}

/// `*` stands for any text, and only ends a pattern.
fn matches(pattern: &str, text: &str) -> bool {
    pattern.strip_suffix('*').map_or(pattern == text, |prefix| text.starts_with(prefix))
}
