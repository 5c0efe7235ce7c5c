//! Sliding-window limits: a list of the times at which something was allowed.
//!
//! A limit of `n` per window is reached if `n` entries are still inside the window. What has left the
//! longest window is dropped, and what is refused is not written down, so somebody who hammers costs
//! nothing and does not lock themselves out for longer.
//!
//! Which limit counts may be known only when Postgres has said who asks. [`Cache::acquire_any`] is for
//! asking both at once: it takes one if the most generous limit leaves one and tells how each limit
//! stands, and what the right one would not have allowed is given back.

use std::sync::LazyLock;
use std::time::Duration;

use jiff::Timestamp;
use redis::Script;
use shared_core::limits::{Limit, LimitReached, LimitStatus};

use crate::{Cache, CacheError, Subject};

/// KEYS[1] the list; ARGV now (ms), how many of the limits may be reached, then count and window (ms)
/// of each limit. Answers whether one was taken, and of each limit how many were used before and the
/// milliseconds until it leaves one more.
static ACQUIRE: LazyLock<Script> = LazyLock::new(|| {
    Script::new(
        r"
        local now, may_be_reached = tonumber(ARGV[1]), tonumber(ARGV[2])
        local times = redis.call('lrange', KEYS[1], 0, -1)
        local statuses, reached, longest, gone = {}, 0, 0, #times
        for i = 3, #ARGV, 2 do
          local count, window, left = tonumber(ARGV[i]), tonumber(ARGV[i + 1]), 0
          while left < #times and times[left + 1] + window <= now do left = left + 1 end
          local used, makes_room = #times - left, times[left + 1] or now
          if used >= count then
            reached, makes_room = reached + 1, times[#times - count + 1]
          end
          statuses[#statuses + 1] = { used, makes_room + window - now }
          longest, gone = math.max(longest, window), math.min(gone, left)
        end
        if reached > may_be_reached then return { 0, statuses } end
        redis.call('rpush', KEYS[1], now)
        redis.call('ltrim', KEYS[1], gone, -1)
        redis.call('pexpire', KEYS[1], longest)
        return { 1, statuses }
        ",
    )
});

/// KEYS[1] the list; ARGV the entry. Two of one millisecond are as good as each other.
static RELEASE: LazyLock<Script> =
    LazyLock::new(|| Script::new("return redis.call('lrem', KEYS[1], -1, ARGV[1])"));

/// What [`Cache::acquire_any`] did.
#[derive(Debug)]
#[must_use = "what the right limit does not allow has to be given back"]
pub struct Permit {
    key: String,
    /// What was written down, if anything was.
    entry: Option<i64>,
    statuses: Vec<LimitStatus>,
}

impl Permit {
    /// Whether any limit allows this request, whichever it is that counts.
    pub fn allowed_by_any(&self) -> Result<(), LimitReached> {
        let soonest = self.statuses.iter().min_by_key(|status| status.reset_after);
        match (self.entry, soonest) {
            (None, Some(soonest)) => soonest.allowed(),
            _ => Ok(()),
        }
    }

    /// How each limit stands after this request, in the order in which they were given.
    pub fn statuses(&self) -> &[LimitStatus] {
        &self.statuses
    }
}

impl Cache {
    /// Takes one of what `subject` may still do of `what`, if all `limits` leave one.
    ///
    /// The outer error is the cache's, the inner one the limit's.
    pub async fn acquire(
        &self,
        subject: &Subject,
        what: &str,
        limits: &[Limit],
        now: Timestamp,
    ) -> Result<Result<(), LimitReached>, CacheError> {
        let taken = self.acquire_unless(subject, what, limits, 0, now).await?;
        let reached = taken.statuses.iter().filter(|status| status.reached);
        let last = reached.max_by_key(|status| status.reset_after);
        Ok(last.map_or(Ok(()), LimitStatus::allowed))
    }

    /// Takes one of what `subject` may still do of `what`, if any of `limits` leaves one. Whoever
    /// finds that the limit which counts is reached goes on to [`Cache::release`].
    pub async fn acquire_any(
        &self,
        subject: &Subject,
        what: &str,
        limits: &[Limit],
        now: Timestamp,
    ) -> Result<Permit, CacheError> {
        self.acquire_unless(subject, what, limits, limits.len().saturating_sub(1), now).await
    }

    /// Takes back what was written down, if anything was. Until then it counts, so a crowd that
    /// comes at once is not allowed more than one after the other would be.
    pub async fn release(&self, taken: Permit) -> Result<(), CacheError> {
        let Some(entry) = taken.entry else {
            return Ok(());
        };
        self.run(RELEASE.key(taken.key).arg(entry)).await
    }

    /// Takes one unless more than `may_be_reached` of the limits are.
    async fn acquire_unless(
        &self,
        subject: &Subject,
        what: &str,
        limits: &[Limit],
        may_be_reached: usize,
        now: Timestamp,
    ) -> Result<Permit, CacheError> {
        let (key, entry) = (subject.key(self.prefix(), what), now.as_millisecond());
        let mut script = ACQUIRE.key(&key);
        script.arg(entry).arg(may_be_reached);
        for limit in limits {
            script.arg(limit.count).arg(millis(limit.window));
        }
        let (taken, statuses): (bool, Vec<(u32, u64)>) = self.run(&script).await?;
        let statuses =
            limits.iter().zip(statuses).map(|(limit, (used, reset_after))| LimitStatus {
                limit: *limit,
                remaining: limit.count.saturating_sub(used.saturating_add(1)),
                reset_after: Duration::from_millis(reset_after),
                reached: used >= limit.count,
            });
        Ok(Permit { key, entry: taken.then_some(entry), statuses: statuses.collect() })
    }
}

fn millis(window: Duration) -> u64 {
    u64::try_from(window.as_millis()).unwrap_or(u64::MAX)
}
