//! What is said about a body that is JSON and not what a route takes.

use shared_http::{ApiError, ErrorCode};

/// Says what the settings may be, in place of serde's words: these quote what was not expected, and in
/// these bodies that may be the key in the wrong place. `before` is what is said before the settings.
pub(crate) fn unquoted(rejection: ApiError, before: &str) -> ApiError {
    if rejection.code() == ErrorCode::InvalidRequest {
        let fields = format!(
            "the body has to be an object with {before} \"policy\", \"always\" or \"fallback\", \
             and \"monthlyCapUsd\", a number or null"
        );
        return ApiError::new(ErrorCode::InvalidRequest, fields);
    }
    rejection
}
