//! Uploads as they are stored: read, listed, completed and deleted.

use jiff::Timestamp;
use shared_core::ids::ChatId;
use shared_core::page::{Cursor, Page, PageRequest};
use shared_core::store::StoreError;
use shared_core::uploads::{
    FileType, Filename, InspectedFile, PENDING_FOR, Sha256Digest, Upload, UploadId, UploadState,
    Uploaded,
};
use tokio_postgres::Row;
use tokio_postgres::types::ToSql;
use uuid::Uuid;

use crate::Request;
use crate::connection::page::after;
use crate::error::DatabaseError;

/// A pending upload that has expired is treated as if it were removed already.
macro_rules! select {
    ($used_in:literal) => {
        concat!(
            "select u.id, u.filename, u.declared_type, coalesce(u.media_type, u.declared_type) as media_type,
                    u.size_bytes, u.sha256, u.state, u.width, u.height, u.pages, u.created_at, ",
            $used_in,
            " as used_in
               from uploads u
              where u.user_id = $1
                and (u.state = 'ready' or u.state = 'pending' and u.created_at > $2)"
        )
    };
    () => {
        select!(
            "array(select m.chat_id
                     from message_files f
                     join messages m on m.user_id = f.user_id and m.id = f.message_id
                    where f.upload_id = u.id and f.user_id = u.user_id
                    group by m.chat_id
                    order by max(m.created_at) desc
                    limit 20)"
        )
    };
}

const UPLOAD: &str = concat!(select!(), " and u.id = $3");

const WITHOUT_USES: &str = concat!(select!("'{}'::text[]"), " and u.id = $3");

const LIST: &str = concat!(
    select!(),
    " and (u.created_at, u.id) < ($3, $4)
    order by u.created_at desc, u.id desc
    limit $5"
);

const COMPLETE: &str = "
    update uploads
       set state = 'ready',
           media_type = $4,
           width = $5,
           height = $6,
           pages = $7,
           model_type = $8,
           model_bytes = $9,
           tokens = $10,
           removal_at = null
     where user_id = $1
       and id = $3
       and state = 'pending'
       and created_at > $2";

/// No message can have it: it was never ready.
const REFUSE: &str = "select free_upload($1, $2, $3, $3::timestamptz + interval '6 minutes', 'pending') as is_refused";

const DELETE: &str = "select delete_upload($1, $2, $3) as is_theirs";

impl Request<'_> {
    /// The user's upload with this id, unless it has expired or is deleted.
    pub async fn upload(&self, id: UploadId) -> Result<Option<Uploaded>, StoreError> {
        self.find_upload(UPLOAD, id).await
    }

    /// The same, without the chats that have it: for a download, of which a page makes many.
    pub async fn upload_without_uses(&self, id: UploadId) -> Result<Option<Upload>, StoreError> {
        Ok(self.find_upload(WITHOUT_USES, id).await?.map(|stored| stored.upload))
    }

    async fn find_upload(&self, sql: &str, id: UploadId) -> Result<Option<Uploaded>, StoreError> {
        let params: &[&(dyn ToSql + Sync)] =
            &[&self.session.user.0, &self.uploads_expired_before(), &id.0];
        let rows = self.query(sql, params).await?;
        Ok(rows.first().map(uploaded).transpose()?)
    }

    /// A page of the user's uploads, newest first.
    pub async fn uploads(&self, page: &PageRequest) -> Result<Page<Upload>, StoreError> {
        let (at, id) = after(page);
        // A cursor of another list continues by its time alone.
        let id = Uuid::parse_str(id).unwrap_or_default();
        let params: &[&(dyn ToSql + Sync)] =
            &[&self.session.user.0, &self.uploads_expired_before(), &at, &id, &page.rows()];
        let rows = self.query(LIST, params).await?;
        let uploads = rows.iter().map(|row| uploaded(row).map(|stored| stored.upload));
        let uploads = uploads.collect::<Result<_, _>>()?;
        let cursor = |last: &Upload| Cursor { at: last.created_at, id: last.id.to_string() };
        Ok(page.page(uploads, cursor))
    }

    /// Notes what inspection found of a pending upload, which is ready then, and returns it as it is now: of concurrent
    /// inspections the first one counts. `None` if it was deleted meanwhile.
    pub async fn complete_upload(
        &self,
        id: UploadId,
        found: &InspectedFile,
    ) -> Result<Option<Uploaded>, StoreError> {
        let number = |number: u32| i32::try_from(number).unwrap_or(i32::MAX);
        let (width, height) = found.dimensions.map(|(w, h)| (number(w), number(h))).unzip();
        let pages = found.pages.map(|pages| number(pages.get()));
        let model_bytes = i64::try_from(found.model_bytes).unwrap_or(i64::MAX);
        let (user, expired, tokens) =
            (self.session.user.0, self.uploads_expired_before(), number(found.tokens));
        let complete: &[&(dyn ToSql + Sync)] = &[
            &user,
            &expired,
            &id.0,
            &found.media_type,
            &width,
            &height,
            &pages,
            &found.model_media_type,
            &model_bytes,
            &tokens,
        ];
        let [_, rows] =
            self.query_all([(COMPLETE, complete), (UPLOAD, &[&user, &expired, &id.0])]).await?;
        Ok(rows.first().map(uploaded).transpose()?)
    }

    /// Deletes an upload that inspection has refused, and frees its bytes. Returns whether it did: not if another
    /// inspection has completed it, or deleted it, meanwhile.
    pub async fn refuse_upload(&self, id: UploadId) -> Result<bool, StoreError> {
        let rows = self.query(REFUSE, &[&self.session.user.0, &id.0, &self.now]).await?;
        let row = rows.first().ok_or_else(|| DatabaseError::unexpected("no result"))?;
        Ok(row.try_get("is_refused").map_err(DatabaseError::from)?)
    }

    /// Deletes an upload, and frees its bytes. Returns whether the user has, or had until recently, such an upload.
    pub async fn delete_upload(&self, id: UploadId) -> Result<bool, StoreError> {
        let rows = self.query(DELETE, &[&self.session.user.0, &id.0, &self.now]).await?;
        let row = rows.first().ok_or_else(|| DatabaseError::unexpected("no result"))?;
        Ok(row.try_get("is_theirs").map_err(DatabaseError::from)?)
    }

    /// Pending uploads from before this have expired.
    pub(crate) fn uploads_expired_before(&self) -> Timestamp {
        self.now - PENDING_FOR
    }
}

fn uploaded(row: &Row) -> Result<Uploaded, DatabaseError> {
    let file_type = DatabaseError::stored(FileType::parse(row.try_get("declared_type")?))?;
    let sha256: &[u8] = row.try_get("sha256")?;
    let sha256 = sha256.try_into().map_err(|_| DatabaseError::unexpected("an upload's hash"))?;
    let number = |name| row.try_get::<_, Option<i32>>(name).map(|n| n.map(i32::unsigned_abs));
    let state = UploadState::parse(row.try_get("state")?);
    let used_in: Vec<&str> = row.try_get("used_in")?;
    let used_in = used_in.into_iter().map(|chat| DatabaseError::stored(ChatId::parse(chat)));
    Ok(Uploaded {
        upload: Upload {
            id: UploadId(row.try_get("id")?),
            filename: Filename::clean(row.try_get("filename")?),
            media_type: row.try_get("media_type")?,
            kind: file_type.kind(),
            size: row.try_get::<_, i64>("size_bytes")?.unsigned_abs(),
            state: state.ok_or_else(|| DatabaseError::unexpected("an upload's state"))?,
            dimensions: number("width")?.zip(number("height")?),
            pages: number("pages")?,
            used_in: used_in.collect::<Result<_, _>>()?,
            created_at: row.try_get("created_at")?,
        },
        file_type,
        sha256: Sha256Digest(sha256),
    })
}
