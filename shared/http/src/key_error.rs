//! Maps errors of the user's own key (BYOK) to API responses.

use shared_core::keys::KeyError;

use crate::error::STORE_RETRY;
use crate::{ApiError, ErrorCode};

impl From<KeyError> for ApiError {
    fn from(error: KeyError) -> Self {
        match &error {
            KeyError::Malformed(_) | KeyError::ManagementKey | KeyError::Expired => {
                Self::new(ErrorCode::InvalidKey, &error)
            }
            KeyError::InvalidCap(_) => Self::new(ErrorCode::InvalidCap, &error),
            KeyError::Unknown => Self::new(ErrorCode::KeyUnknown, &error),
            KeyError::CheckBusy { retry_after } => {
                Self::new(ErrorCode::KeyBusy, &error).retry_after(*retry_after)
            }
            KeyError::CheckUnavailable(source) => {
                tracing::error!(%source, "a key could not be checked");
                Self::new(ErrorCode::KeyCheckUnavailable, &error).retry_after(STORE_RETRY)
            }
            KeyError::Missing => Self::new(ErrorCode::KeyNotFound, &error),
            KeyError::Limited(limit) => Self::limited(ErrorCode::TooManyKeyChanges, *limit),
            KeyError::Store(store) => Self::of_store(store, "a key", &error),
        }
    }
}

#[cfg(test)]
mod tests {
    use shared_core::keys::{InvalidCap, MalformedKey};
    use shared_core::limits::{Limit, LimitReached};
    use shared_core::store::StoreError;

    use super::*;
    use crate::error::tests::{IN_7_S, response};

    #[test]
    fn each_key_error_has_its_code() {
        let internal = || "10.0.0.7 does not answer".into();
        let limit = LimitReached::new(Limit::per_day(10), IN_7_S);
        for (error, code, status, retry_after) in [
            (KeyError::Malformed(MalformedKey), "invalid_key", 422, None),
            (KeyError::ManagementKey, "invalid_key", 422, None),
            (KeyError::Expired, "invalid_key", 422, None),
            (KeyError::Unknown, "key_unknown", 422, None),
            (KeyError::InvalidCap(InvalidCap), "invalid_cap", 422, None),
            (KeyError::CheckBusy { retry_after: IN_7_S }, "key_busy", 429, Some("7")),
            (KeyError::CheckUnavailable(internal()), "key_check_unavailable", 503, Some("5")),
            (KeyError::Missing, "key_not_found", 404, None),
            (KeyError::Limited(limit), "too_many_key_changes", 429, Some("7")),
            (KeyError::Store(StoreError::SessionEnded), "session_ended", 401, None),
            (KeyError::Store(StoreError::Unavailable(internal())), "unavailable", 503, Some("5")),
        ] {
            assert_eq!(response(error), (code, status, retry_after.map(str::to_owned)));
        }
    }
}
