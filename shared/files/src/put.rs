//! URLs by which clients put their files into quarantine.

use std::time::{Duration, SystemTime};

use aws_sdk_s3::presigning::PresigningConfig;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use jiff::Timestamp;
use shared_core::ids::UserId;
use shared_core::uploads::NewUpload;

use crate::error::failed;
use crate::{Files, FilesError, key};

/// How long a URL is good for a PUT.
pub const PUT_WITHIN: Duration = Duration::from_mins(5);

/// The signed header that browsers set themselves, and refuse to be told.
const CONTENT_LENGTH: &str = "content-length";

/// A request that puts one file, once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PresignedPut {
    /// The URL, with its signature.
    pub url: String,
    /// The headers that the client has to send, apart from `content-length`, which is signed, too.
    pub headers: Vec<(String, String)>,
    /// Until when it is good.
    pub expires_at: Timestamp,
}

impl Files {
    /// Signs a request that puts a file of exactly the declared type, size and hash, unless there is one already. Makes no
    /// request. The signature covers `content-length`: without it, a URL would take a file of any size.
    pub async fn presign_put(
        &self,
        user: UserId,
        upload: &NewUpload,
        now: Timestamp,
    ) -> Result<PresignedPut, FilesError> {
        let put = self
            .client()
            .put_object()
            .bucket(self.bucket())
            .key(key::quarantine(user, upload.id))
            .content_type(upload.file_type.as_str())
            .content_length(i64::try_from(upload.size).unwrap_or(i64::MAX))
            .checksum_sha256(STANDARD.encode(upload.sha256.0))
            .if_none_match("*");
        let signed =
            put.presigned(signing(now, PUT_WITHIN)?).await.map_err(|error| failed(&error))?;
        let headers = signed.headers().filter(|(name, _)| *name != CONTENT_LENGTH);
        let headers = headers.map(|(name, value)| (name.to_owned(), value.to_owned()));
        Ok(PresignedPut {
            url: signed.uri().to_owned(),
            headers: headers.collect(),
            expires_at: now + PUT_WITHIN,
        })
    }
}

/// The validity of a URL that is signed `now`.
pub(crate) fn signing(now: Timestamp, within: Duration) -> Result<PresigningConfig, FilesError> {
    let begins = SystemTime::from(now);
    let config = PresigningConfig::builder().start_time(begins).expires_in(within).build();
    config.map_err(|_| FilesError::NeverSent)
}
