//! JSON bodies of uploads.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use shared_core::uploads::{
    FileType, Filename, InvalidUpload, NewUpload, Sha256Digest, UploadError, UploadId,
};
use shared_files::PresignedPut;
use utoipa::ToSchema;
use uuid::Uuid;

/// Longest name that a client may send, in bytes; it is cut to 200.
const LONGEST_FILENAME: usize = 4096;

/// A file, declared before it is sent.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(crate) struct UploadRequest {
    /// The name, 1 to 4,096 bytes. What cannot be shown safely is removed from it.
    #[schema(example = "ship.jpg")]
    filename: String,
    /// The media type, such as a browser's `File.type`; `text/plain` for source code that has none.
    #[schema(example = "image/jpeg")]
    content_type: String,
    /// The size in bytes.
    #[schema(minimum = 1, example = 204_800)]
    size: u64,
    /// The SHA-256 of the file, as 64 hexadecimal digits.
    #[schema(example = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08")]
    sha256: String,
}

impl UploadRequest {
    pub(crate) fn parse(self, id: UploadId) -> Result<NewUpload, UploadError> {
        if !(1..=LONGEST_FILENAME).contains(&self.filename.len()) {
            return Err(InvalidUpload::Filename.into());
        }
        if self.size == 0 {
            return Err(InvalidUpload::Empty.into());
        }
        let mut sha256 = [0; 32];
        hex::decode_to_slice(&self.sha256, &mut sha256).map_err(|_| InvalidUpload::Hash)?;
        Ok(NewUpload {
            id,
            filename: Filename::clean(&self.filename),
            file_type: FileType::parse(&self.content_type)?,
            size: self.size,
            sha256: Sha256Digest(sha256),
        })
    }
}

/// How to send the file: one request, whose body is the file.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct UploadUrl {
    /// The upload's id.
    id: Uuid,
    /// Always `PUT`.
    #[schema(example = "PUT")]
    method: &'static str,
    /// Where to. Good for one file of exactly the declared type, size and hash.
    url: String,
    /// The headers to send with it. `content-length`, which browsers set themselves, has to be the declared size, too.
    headers: BTreeMap<String, String>,
    /// Until when the file can be sent, five minutes from now.
    expires_at: Timestamp,
}

impl UploadUrl {
    pub(crate) fn new(id: UploadId, put: PresignedPut) -> Self {
        Self {
            id: id.0,
            method: "PUT",
            url: put.url,
            headers: put.headers.into_iter().collect(),
            expires_at: put.expires_at,
        }
    }
}
