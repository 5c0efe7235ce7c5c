//! Reads a form of a file.

use std::time::Duration;

use aws_sdk_s3::operation::get_object::GetObjectOutput;
use bytes::{Bytes, BytesMut};
use shared_core::ids::UserId;
use shared_core::uploads::{FileForm, UploadId};
use tokio::time::timeout;

use crate::error::if_readable;
use crate::{Files, FilesError, key};

/// How long an object may take. The largest has some 25 MiB, and Lambda reads 50 MiB in a second.
const READ_WITHIN: Duration = Duration::from_secs(5);

impl Files {
    /// Reads a form of a file; `None` if it is not there. Fails if it is larger than `limit` bytes.
    pub async fn read(
        &self,
        user: UserId,
        upload: UploadId,
        form: FileForm,
        limit: u64,
    ) -> Result<Option<Bytes>, FilesError> {
        let get = self.client().get_object().bucket(self.bucket());
        match if_readable(get.key(key::clean(user, upload, form)).send().await)? {
            Some(object) => Ok(Some(read_to_end(object, limit).await?)),
            None => Ok(None),
        }
    }
}

/// Reads an object of at most `limit` bytes.
pub(crate) async fn read_to_end(
    mut object: GetObjectOutput,
    limit: u64,
) -> Result<Bytes, FilesError> {
    let size = object.content_length().unwrap_or_default().unsigned_abs();
    if size > limit {
        return Err(FilesError::TooLarge);
    }
    let size = usize::try_from(size).map_err(|_| FilesError::TooLarge)?;
    let mut bytes = BytesMut::with_capacity(size);
    let read = async {
        while bytes.len() < size {
            bytes.extend_from_slice(&object.body.next().await?.ok()?);
        }
        Some(())
    };
    match timeout(READ_WITHIN, read).await {
        Ok(Some(())) => Ok(bytes.freeze()),
        Ok(None) | Err(_) => Err(FilesError::BrokeOff),
    }
}
