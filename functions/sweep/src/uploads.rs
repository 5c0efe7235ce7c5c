//! Removes uploads: those that were deleted or refused, that were never completed, and whose messages are erased.
//!
//! First the bytes are freed, then the objects are removed in all versions, then the row: a run that is killed between the
//! steps leaves what the next one finds.

use futures_util::StreamExt;
use futures_util::stream::iter;
use jiff::Timestamp;
use shared_postgres::DueUpload;

use crate::report::Counter;
use crate::{Deps, Run, WorkError};

/// Uploads that were removed.
const REMOVED: Counter = Counter::of_work("uploadsRemoved");
/// Uploads whose objects could not be removed; they are tried again in ten minutes.
const KEPT: Counter = Counter::of_work("uploadsNotRemoved").with_metric("UploadsNotRemoved");
/// What this work reports.
pub(crate) const COUNTERS: [Counter; 2] = [REMOVED, KEPT];

/// The most that one run removes.
const MOST: usize = 1000;
/// How many are removed at once: each takes some round trips to S3.
const AT_ONCE: usize = 8;

pub(crate) async fn remove(run: &mut Run<'_>) -> Result<(), WorkError> {
    let (deps, now) = (run.deps, run.deps.clock.now());
    if run.is_out_of_time() {
        return Ok(());
    }
    let due = deps.jobs.due_uploads(now, MOST).await?;
    let mut removals =
        iter(due).map(|upload| remove_one(deps, upload, now)).buffer_unordered(AT_ONCE);
    let mut failure = None;
    while let Some(removed) = removals.next().await {
        match removed {
            Ok(is_removed) => run.report.add(REMOVED, u64::from(is_removed)),
            Err(error @ WorkError::Files(_)) => {
                run.report.add(KEPT, 1);
                failure.get_or_insert(error);
            }
            Err(error) => return Err(error),
        }
        if run.is_out_of_time() {
            break;
        }
    }
    failure.map_or(Ok(()), Err)
}

/// Returns whether it was removed: not if a message has it again, or another run removes it.
async fn remove_one(deps: &Deps, upload: DueUpload, now: Timestamp) -> Result<bool, WorkError> {
    if !deps.jobs.claim_due_upload(upload, now).await? {
        return Ok(false);
    }
    deps.files.remove(upload.user, upload.id).await?;
    deps.jobs.forget_upload(upload).await?;
    Ok(true)
}
