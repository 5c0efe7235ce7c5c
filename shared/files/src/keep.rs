//! Files in quarantine: looked at, and kept or discarded.

use aws_sdk_s3::types::{ChecksumMode, MetadataDirective};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use shared_core::ids::UserId;
use shared_core::uploads::{FileForm, Sha256Digest, UploadId};

use crate::error::{failed, if_readable, if_there};
use crate::read::read_to_end;
use crate::{Files, FilesError, key};

/// A file in quarantine, as S3 describes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReceivedFile {
    /// Its size in bytes.
    pub size: u64,
    /// Its type.
    pub content_type: String,
    /// The hash that S3 checked when it received it.
    pub sha256: Option<Sha256Digest>,
    key: String,
    e_tag: String,
    version: Option<String>,
}

impl Files {
    /// Describes the file that a client has sent; `None` if it has sent none.
    pub async fn received(
        &self,
        user: UserId,
        upload: UploadId,
    ) -> Result<Option<ReceivedFile>, FilesError> {
        let key = key::quarantine(user, upload);
        let head = self.client().head_object().bucket(self.bucket()).key(&key);
        let head = if_readable(head.checksum_mode(ChecksumMode::Enabled).send().await)?;
        Ok(head.map(|head| ReceivedFile {
            size: head.content_length().unwrap_or_default().unsigned_abs(),
            content_type: head.content_type.unwrap_or_default(),
            sha256: head.checksum_sha256.as_deref().and_then(digest),
            key,
            e_tag: head.e_tag.unwrap_or_default(),
            version: head.version_id,
        }))
    }

    /// Reads a received file; `None` if it is gone, or is not the one that was described.
    pub async fn read_received(&self, file: &ReceivedFile) -> Result<Option<Bytes>, FilesError> {
        let get = self.client().get_object().bucket(self.bucket()).key(&file.key);
        match if_readable(get.if_match(&file.e_tag).send().await)? {
            Some(object) => Ok(Some(read_to_end(object, file.size).await?)),
            None => Ok(None),
        }
    }

    /// Keeps `bytes` as a form of a file.
    pub async fn keep(
        &self,
        user: UserId,
        upload: UploadId,
        form: FileForm,
        bytes: Bytes,
        media_type: &str,
    ) -> Result<(), FilesError> {
        let put = self
            .client()
            .put_object()
            .bucket(self.bucket())
            .key(key::clean(user, upload, form))
            .content_type(media_type)
            .body(bytes.into());
        put.send().await.map_err(|error| failed(&error))?;
        Ok(())
    }

    /// Keeps a received file as it is, as a form of it: copied within S3, on the condition that it is the one that was
    /// described. Returns whether it was.
    pub async fn keep_received(
        &self,
        file: &ReceivedFile,
        user: UserId,
        upload: UploadId,
        form: FileForm,
        media_type: &str,
    ) -> Result<bool, FilesError> {
        let copy = self
            .client()
            .copy_object()
            .bucket(self.bucket())
            .key(key::clean(user, upload, form))
            .copy_source(format!("{}/{}", self.bucket(), file.key))
            .copy_source_if_match(&file.e_tag)
            .metadata_directive(MetadataDirective::Replace)
            .content_type(media_type);
        Ok(if_there(copy.send().await)?.is_some())
    }

    /// Discards a received file: this version of it, so that none remains.
    pub async fn discard(&self, file: &ReceivedFile) -> Result<(), FilesError> {
        let delete = self.client().delete_object().bucket(self.bucket()).key(&file.key);
        let delete = delete.set_version_id(file.version.clone());
        delete.send().await.map_err(|error| failed(&error))?;
        Ok(())
    }
}

fn digest(base64: &str) -> Option<Sha256Digest> {
    STANDARD.decode(base64).ok()?.try_into().ok().map(Sha256Digest)
}
