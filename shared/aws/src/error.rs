//! AWS's errors, redacted for the log.
//!
//! A service's message repeats what it was sent: SES the address, others a name or a policy. So only
//! what has the form of a code or an id is kept of a response, and the errors of the transport are
//! described by their kind.

use std::error::Error;
use std::fmt;
use std::io;

use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
use aws_smithy_runtime_api::client::result::SdkError;
use aws_smithy_types::error::metadata::ProvideErrorMetadata;
use aws_types::request_id::RequestId;

/// A failed call, without the service's own message.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{service}: {what}")]
pub struct AwsError {
    service: &'static str,
    what: What,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum What {
    Refused { status: u16, code: Option<String>, request: Option<String> },
    Unreadable { status: u16 },
    Incomplete,
    TimedOut,
    Unreachable(Option<io::ErrorKind>),
    NeverSent,
}

impl AwsError {
    /// Describes the `error` of a call to `service`.
    pub fn new<E>(service: &'static str, error: &SdkError<E, HttpResponse>) -> Self
    where
        E: ProvideErrorMetadata + RequestId + Error + 'static,
    {
        let what = match error {
            // The SDK reports a success that it cannot read as an error of the service.
            SdkError::ServiceError(answer) if answer.raw().status().is_success() => {
                What::Unreadable { status: answer.raw().status().as_u16() }
            }
            SdkError::ServiceError(refusal) => What::Refused {
                status: refusal.raw().status().as_u16(),
                code: refusal.err().code().and_then(identifier),
                request: refusal.err().request_id().and_then(identifier),
            },
            SdkError::ResponseError(answer) => {
                What::Unreadable { status: answer.raw().status().as_u16() }
            }
            SdkError::TimeoutError(_) => What::TimedOut,
            SdkError::DispatchFailure(failure) if failure.is_timeout() => What::TimedOut,
            SdkError::DispatchFailure(_) => What::Unreachable(io_kind(error)),
            SdkError::ConstructionFailure(_) | _ => What::NeverSent,
        };
        Self { service, what }
    }

    /// A readable response of `service` that lacks a required field.
    pub fn incomplete(service: &'static str) -> Self {
        Self { service, what: What::Incomplete }
    }

    /// The service's error code, such as `AccessDeniedException`.
    pub fn code(&self) -> Option<&str> {
        match &self.what {
            What::Refused { code, .. } => code.as_deref(),
            What::Unreadable { .. }
            | What::Incomplete
            | What::TimedOut
            | What::Unreachable(_)
            | What::NeverSent => None,
        }
    }

    /// The HTTP status of the service's refusal.
    pub fn status(&self) -> Option<u16> {
        match &self.what {
            What::Refused { status, .. } => Some(*status),
            What::Unreadable { .. }
            | What::Incomplete
            | What::TimedOut
            | What::Unreachable(_)
            | What::NeverSent => None,
        }
    }
}

impl fmt::Display for What {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Refused { status, code, request } => {
                let code = code.as_deref().unwrap_or("an error without a code");
                let request = request.as_deref().unwrap_or("unknown");
                write!(f, "{code}, status {status}, request {request}")
            }
            Self::Unreadable { status } => {
                write!(f, "an answer that cannot be read, status {status}")
            }
            Self::Incomplete => f.write_str("an answer that lacks what was asked for"),
            Self::TimedOut => f.write_str("no answer in time"),
            Self::Unreachable(Some(kind)) => write!(f, "cannot be reached: {kind}"),
            Self::Unreachable(None) => f.write_str("cannot be reached"),
            Self::NeverSent => f.write_str("the request could not be made"),
        }
    }
}

/// Returns `text` if it has the form of a code or an id, which no address and no sentence has.
pub(crate) fn identifier(text: &str) -> Option<String> {
    let is_one = (1..=64).contains(&text.len())
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_=".contains(&byte));
    is_one.then(|| text.to_owned())
}

fn io_kind(error: &(dyn Error + 'static)) -> Option<io::ErrorKind> {
    std::iter::successors(Some(error), |&error| error.source())
        .find_map(|error| error.downcast_ref::<io::Error>())
        .map(io::Error::kind)
}
