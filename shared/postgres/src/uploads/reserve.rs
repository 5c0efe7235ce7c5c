//! Reserves storage for a file that is going to be sent.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use serde::Serialize;
use shared_core::billing::PlanId;
use shared_core::store::StoreError;
use shared_core::uploads::{NewUpload, PENDING_FOR, UploadId};
use tokio_postgres::Row;
use tokio_postgres::types::Json;

use crate::Request;
use crate::error::DatabaseError;

const RESERVE: &str = "select outcome, plan, used_bytes, oldest from reserve_upload($1, $2, $3)";

/// When a pending upload is removed, after it has expired: an inspection that began before that has ended by then.
const REMOVED_AFTER_EXPIRY: SignedDuration = SignedDuration::from_mins(10);

/// A plan's limits on a new upload.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct UploadLimits {
    /// The largest file of this type, in bytes.
    pub file_bytes: u64,
    /// All files of a user together, in bytes.
    pub stored_bytes: u64,
    /// Whether the limit on uploads is reached, where the cache counts them.
    pub is_reached: bool,
    /// The most uploads since [`NewUploadLimits::counted_since`], where the cache does not count them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub uploads: Option<u32>,
}

/// The limits of all plans on a new upload: which one applies is known to Postgres.
#[derive(Clone, Debug, Serialize)]
pub struct NewUploadLimits<'a> {
    /// By the plan's id.
    pub plan_limits: BTreeMap<&'a str, UploadLimits>,
    /// The beginning of the window in which Postgres counts uploads.
    pub counted_since: Timestamp,
}

/// What became of a reservation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reservation {
    /// The bytes are reserved.
    Reserved,
    /// The file is larger than the plan allows.
    TooLarge,
    /// The user has made too many uploads. `oldest` is the first that Postgres counts, if it does.
    TooMany {
        /// When the oldest of them was made.
        oldest: Option<Timestamp>,
    },
    /// The user's files leave no room for it.
    StorageFull {
        /// The bytes that they take.
        used_bytes: u64,
    },
}

/// The `wanted` of `reserve_upload`.
#[derive(Debug, Serialize)]
struct Wanted<'a> {
    id: UploadId,
    filename: &'a str,
    declared_type: &'static str,
    size: i64,
    sha256: String,
    removal_at: Timestamp,
    #[serde(flatten)]
    limits: &'a NewUploadLimits<'a>,
}

impl Request<'_> {
    /// Reserves the bytes of an upload in the storage of the user's plan, and notes it as pending. Returns the plan, too.
    /// A retry changes nothing.
    pub async fn reserve_upload(
        &self,
        upload: &NewUpload,
        limits: &NewUploadLimits<'_>,
    ) -> Result<(PlanId, Reservation), StoreError> {
        let wanted = Wanted {
            id: upload.id,
            filename: upload.filename.as_str(),
            declared_type: upload.file_type.as_str(),
            // A larger one is larger than any plan allows.
            size: i64::try_from(upload.size).unwrap_or(i64::MAX),
            sha256: hex::encode(upload.sha256.0),
            removal_at: self.now + PENDING_FOR + REMOVED_AFTER_EXPIRY,
            limits,
        };
        let rows = self.query(RESERVE, &[&self.session.user.0, &self.now, &Json(&wanted)]).await?;
        let row = rows.first().ok_or_else(|| DatabaseError::unexpected("no reservation"))?;
        Ok(reservation(row)?)
    }
}

fn reservation(row: &Row) -> Result<(PlanId, Reservation), DatabaseError> {
    let plan = PlanId::parse(row.try_get("plan")?);
    let plan = plan.ok_or_else(|| DatabaseError::unexpected("a plan's id"))?;
    let reservation = match row.try_get("outcome")? {
        "reserved" => Reservation::Reserved,
        "too_large" => Reservation::TooLarge,
        "too_many" => Reservation::TooMany { oldest: row.try_get("oldest")? },
        "storage_full" => {
            let used_bytes = row.try_get::<_, i64>("used_bytes")?.unsigned_abs();
            Reservation::StorageFull { used_bytes }
        }
        _ => return Err(DatabaseError::unexpected("a reservation's outcome")),
    };
    Ok((plan, reservation))
}
