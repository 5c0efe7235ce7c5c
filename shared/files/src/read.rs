//! Reads a form of a file.

use std::time::Duration;

use aws_sdk_s3::operation::get_object::GetObjectOutput;
use bytes::{Bytes, BytesMut};
use shared_core::ids::UserId;
use shared_core::uploads::{FileForm, UploadId};
use tokio::time::timeout;

use crate::error::if_there;
use crate::{Files, FilesError, key};

/// The longest time between two pieces of an object.
const NEXT_WITHIN: Duration = Duration::from_secs(5);

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
        match if_there(get.key(key::clean(user, upload, form)).send().await)? {
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
    while bytes.len() < size {
        match timeout(NEXT_WITHIN, object.body.next()).await {
            Ok(Some(Ok(piece))) => bytes.extend_from_slice(&piece),
            Ok(Some(Err(_)) | None) | Err(_) => return Err(FilesError::BrokeOff),
        }
    }
    Ok(bytes.freeze())
}
