//! Error message for a JSON body of the wrong shape.

use shared_http::{ApiError, ErrorCode};

/// Replaces serde's message by one that lists the fields: serde quotes the unexpected value, and in these
/// bodies that may be a misplaced key. `before` is the text before the settings.
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
