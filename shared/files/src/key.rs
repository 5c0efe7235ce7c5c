//! Keys of objects.

use shared_core::ids::UserId;
use shared_core::uploads::{FileForm, UploadId};

/// Where a client puts its file.
pub(crate) fn quarantine(user: UserId, upload: UploadId) -> String {
    format!("quarantine/{user}/{upload}")
}

/// Where a form of the file is kept.
pub(crate) fn clean(user: UserId, upload: UploadId, form: FileForm) -> String {
    let form = match form {
        FileForm::View => "view",
        FileForm::Model => "model",
        FileForm::Thumb => "thumb",
    };
    format!("{}{form}", clean_prefix(user, upload))
}

/// What the keys of all forms begin with.
pub(crate) fn clean_prefix(user: UserId, upload: UploadId) -> String {
    format!("clean/{user}/{upload}/")
}
