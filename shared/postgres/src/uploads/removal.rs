//! Jobs that remove uploads: deleted ones, those that were never completed, and those of erased messages.

use jiff::Timestamp;
use shared_core::ids::UserId;
use shared_core::store::StoreError;
use shared_core::uploads::UploadId;

use crate::Jobs;
use crate::error::DatabaseError;

const DUE: &str = "
    select user_id, id
      from uploads
     where removal_at <= $1
     order by removal_at
     limit $2";

const FREE: &str = "select free_upload($1, $2, $3, $3, 'due')";

/// Puts it off, for the case that its objects cannot be removed now, or another job does it.
const CLAIM: &str = "
    update uploads
       set removal_at = $3 + interval '10 minutes'
     where user_id = $1
       and id = $2
       and state = 'deleted'
       and removal_at <= $3
    returning id";

/// Freed first: the bytes of what is removed do not count any more.
const REMOVE: &str = "
    delete from uploads
     where user_id = $1
       and id = $2
       and state = 'deleted'";

/// An upload whose removal is due.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DueUpload {
    /// Its user.
    pub user: UserId,
    /// Its id.
    pub id: UploadId,
}

impl Jobs {
    /// Uploads to remove, the longest due first.
    pub async fn due_uploads(
        &self,
        now: Timestamp,
        limit: usize,
    ) -> Result<Vec<DueUpload>, StoreError> {
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        let rows = self.query(DUE, &[&now, &limit]).await?;
        let due = rows.iter().map(|row| -> Result<_, DatabaseError> {
            let user = UserId(row.try_get("user_id")?);
            Ok(DueUpload { user, id: UploadId(row.try_get("id")?) })
        });
        Ok(due.collect::<Result<_, _>>()?)
    }

    /// Frees the bytes of an upload that is due, once; no message can have it then. Returns whether the caller is to remove
    /// its objects, within ten minutes: not if a message has it again, or another job removes it.
    pub async fn claim_due_upload(
        &self,
        upload: DueUpload,
        now: Timestamp,
    ) -> Result<bool, StoreError> {
        let DueUpload { user, id } = upload;
        self.query(FREE, &[&user.0, &id.0, &now]).await?;
        Ok(!self.query(CLAIM, &[&user.0, &id.0, &now]).await?.is_empty())
    }

    /// Forgets an upload whose objects are removed.
    pub async fn forget_upload(&self, upload: DueUpload) -> Result<(), StoreError> {
        self.query(REMOVE, &[&upload.user.0, &upload.id.0]).await?;
        Ok(())
    }
}
