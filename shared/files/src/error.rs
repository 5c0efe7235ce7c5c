//! Errors of S3.

use std::error::Error;

use aws_sdk_s3::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_s3::operation::RequestId;
use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
use shared_aws::AwsError;

/// S3 cannot be used: it is unreachable, throttles, or refuses.
#[derive(Debug, thiserror::Error)]
pub enum FilesError {
    /// A call failed.
    #[error("{0}")]
    Call(AwsError),
    /// An object broke off while it was read, or took too long.
    #[error("S3: an object could not be read to its end")]
    BrokeOff,
    /// A request could not be made.
    #[error("S3: a request could not be made")]
    NeverSent,
    /// S3 keeps an object that was to be removed.
    #[error("S3: an object was not removed: {code}")]
    NotRemoved {
        /// S3's reason.
        code: String,
    },
    /// An object is larger than what is written there.
    #[error("S3: an object is larger than it can be")]
    TooLarge,
}

/// Why a call to S3 failed.
pub(crate) fn failed<E>(error: &SdkError<E, HttpResponse>) -> FilesError
where
    E: ProvideErrorMetadata + RequestId + Error + 'static,
{
    FilesError::Call(AwsError::new("S3", error))
}

/// `None` instead of the error of an object that is not there, or is not the one that was described.
pub(crate) fn if_there<T, E>(
    result: Result<T, SdkError<E, HttpResponse>>,
) -> Result<Option<T>, FilesError>
where
    E: ProvideErrorMetadata + RequestId + Error + 'static,
{
    match result {
        Ok(there) => Ok(Some(there)),
        Err(error) => {
            let error = AwsError::new("S3", &error);
            if matches!(error.status(), Some(404 | 412)) {
                Ok(None)
            } else {
                Err(FilesError::Call(error))
            }
        }
    }
}

/// The same of a read. Without the right to list, S3 answers 403 for an object that is not there: `AccessDenied`, and to HEAD
/// nothing but the status. Other codes with 403 are about the credentials.
pub(crate) fn if_readable<T, E>(
    result: Result<T, SdkError<E, HttpResponse>>,
) -> Result<Option<T>, FilesError>
where
    E: ProvideErrorMetadata + RequestId + Error + 'static,
{
    match if_there(result) {
        Err(FilesError::Call(error))
            if error.status() == Some(403)
                && matches!(error.code(), None | Some("AccessDenied")) =>
        {
            tracing::info!(%error, "an object is not there");
            Ok(None)
        }
        result => result,
    }
}
