//! Maps errors of uploads to API responses.

use serde_json::json;
use shared_core::uploads::{FileRefusal, FileType, UploadError};

use crate::error::{STORE_RETRY, upgrade_json};
use crate::{ApiError, ErrorCode};

impl From<UploadError> for ApiError {
    fn from(error: UploadError) -> Self {
        match &error {
            UploadError::Invalid(_) => Self::new(ErrorCode::InvalidUpload, &error),
            UploadError::Type(_) => {
                let allowed: Vec<_> = FileType::all().map(FileType::as_str).collect();
                Self::new(ErrorCode::TypeNotAllowed, &error)
                    .with_details(json!({ "allowed": allowed }))
            }
            UploadError::TooLarge { limit_mib, upgrade } => {
                Self::new(ErrorCode::FileTooLarge, &error).with_details(
                    json!({ "limitMib": limit_mib, "upgrade": upgrade_json(upgrade.as_ref()) }),
                )
            }
            UploadError::StorageFull { used_bytes, limit_bytes, upgrade } => {
                Self::new(ErrorCode::StorageFull, &error).with_details(json!({
                    "usedBytes": used_bytes, "limitBytes": limit_bytes,
                    "upgrade": upgrade_json(upgrade.as_ref()),
                }))
            }
            UploadError::TooMany(reached) => Self::limited(ErrorCode::TooManyUploads, *reached),
            UploadError::NotFound => Self::new(ErrorCode::UploadNotFound, &error),
            UploadError::Missing => Self::new(ErrorCode::UploadMissing, &error),
            UploadError::Refused(FileRefusal::NotAsDeclared(_)) => {
                Self::new(ErrorCode::FileNotAsDeclared, &error)
            }
            UploadError::Refused(FileRefusal::Unreadable(because)) => {
                Self::new(ErrorCode::FileUnreadable, &error)
                    .with_details(json!({ "because": because.as_str() }))
            }
            UploadError::Unavailable(source) => {
                tracing::error!(%source, "object storage cannot be used");
                Self::new(ErrorCode::UploadsUnavailable, &error).retry_after(STORE_RETRY)
            }
            UploadError::Store(store) => Self::of_store(store, "uploads", &error),
        }
    }
}

#[cfg(test)]
mod tests {
    use shared_core::limits::{Limit, LimitReached};
    use shared_core::store::StoreError;
    use shared_core::uploads::{InvalidUpload, TypeNotAllowed, UnreadableFile};

    use super::*;
    use crate::error::tests::{IN_7_S, response};

    #[test]
    fn each_upload_error_has_its_code() {
        let internal = || "10.0.0.7 does not answer".into();
        let limit = LimitReached::new(Limit::per_hour(20), IN_7_S);
        let unreadable = FileRefusal::from(UnreadableFile::Encrypted);
        let store = UploadError::Store(StoreError::Unavailable(internal()));
        let full = UploadError::StorageFull { used_bytes: 1, limit_bytes: 2, upgrade: None };
        for (error, code, status, retry_after) in [
            (InvalidUpload::Empty.into(), "invalid_upload", 422, None),
            (TypeNotAllowed::Other.into(), "type_not_allowed", 422, None),
            (UploadError::TooLarge { limit_mib: 5, upgrade: None }, "file_too_large", 413, None),
            (full, "storage_full", 403, None),
            (limit.into(), "too_many_uploads", 429, Some("7")),
            (UploadError::NotFound, "upload_not_found", 404, None),
            (UploadError::Missing, "upload_missing", 409, None),
            (FileRefusal::NotAsDeclared("x").into(), "file_not_as_declared", 422, None),
            (unreadable.into(), "file_unreadable", 422, None),
            (UploadError::Unavailable(internal()), "uploads_unavailable", 503, Some("5")),
            (store, "unavailable", 503, Some("5")),
        ] {
            assert_eq!(response(error), (code, status, retry_after.map(str::to_owned)));
        }
    }
}
