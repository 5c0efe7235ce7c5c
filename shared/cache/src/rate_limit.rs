//! Sliding-window rate limits: a list of the times at which a request was allowed.
//!
//! A limit of `n` per window is reached if `n` entries are still inside the window. Entries outside
//! the longest window are dropped, and a refused request is not recorded, so a client that hammers costs
//! nothing and does not lock itself out for longer.
//!
//! Which limit applies may be known only once Postgres has returned the user's plan.
//! [`Cache::acquire_any`] lets both queries run concurrently: it acquires a permit if the most generous
//! limit allows it and returns the status of each limit; the caller releases a permit that the limit
//! which applies does not allow.

use std::sync::LazyLock;
use std::time::Duration;

use jiff::Timestamp;
use redis::Script;
use shared_core::limits::{Limit, LimitReached, LimitStatus};

use crate::{Cache, CacheError, Subject};

/// KEYS[1] the list; ARGV now (ms), how many of the limits may be reached, then count and window (ms)
/// of each limit. Returns whether an entry was added, and of each limit the number of entries before and
/// the milliseconds until one more is allowed.
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

/// KEYS[1] the list; ARGV the entry. Two of one millisecond are interchangeable.
static RELEASE: LazyLock<Script> =
    LazyLock::new(|| Script::new("return redis.call('lrem', KEYS[1], -1, ARGV[1])"));

/// A permit of a rate limit, or its refusal, with the status of each limit.
#[derive(Debug)]
#[must_use = "a permit that the limit which applies does not allow has to be released"]
pub struct Permit {
    key: String,
    /// The entry in the list; `None` if the request was refused.
    entry: Option<i64>,
    statuses: Vec<LimitStatus>,
}

impl Permit {
    /// Fails if no limit allows this request, whichever of them applies.
    pub fn allowed_by_any(&self) -> Result<(), LimitReached> {
        let soonest = self.statuses.iter().min_by_key(|status| status.reset_after);
        match (self.entry, soonest) {
            (None, Some(soonest)) => soonest.allowed(),
            _ => Ok(()),
        }
    }

    /// The status of one of the limits after this request.
    pub fn status_of(&self, limit: Limit) -> Option<LimitStatus> {
        self.statuses.iter().find(|status| status.limit == limit).copied()
    }

    /// The status of each limit after this request, in the order in which they were passed.
    pub fn statuses(&self) -> &[LimitStatus] {
        &self.statuses
    }
}

impl Cache {
    /// Records one `what` of `subject`, if all `limits` allow it.
    ///
    /// The outer error is the cache's, the inner one the limit's.
    pub async fn acquire(
        &self,
        subject: &Subject,
        what: &str,
        limits: &[Limit],
        now: Timestamp,
    ) -> Result<Result<(), LimitReached>, CacheError> {
        let permit = self.acquire_unless(subject, what, limits, 0, now).await?;
        let reached = permit.statuses.iter().filter(|status| status.reached);
        let last = reached.max_by_key(|status| status.reset_after);
        Ok(last.map_or(Ok(()), LimitStatus::allowed))
    }

    /// Acquires a permit for one `what` of `subject`, if any of `limits` allows it. A caller that finds
    /// the limit which applies reached has to call [`Cache::release`].
    pub async fn acquire_any(
        &self,
        subject: &Subject,
        what: &str,
        limits: &[Limit],
        now: Timestamp,
    ) -> Result<Permit, CacheError> {
        self.acquire_unless(subject, what, limits, limits.len().saturating_sub(1), now).await
    }

    /// Releases a permit: removes its entry, if it has one. Until then the entry counts, so concurrent
    /// requests are not allowed more than consecutive ones would be.
    pub async fn release(&self, permit: Permit) -> Result<(), CacheError> {
        let Some(entry) = permit.entry else {
            return Ok(());
        };
        self.run(RELEASE.key(permit.key).arg(entry)).await
    }

    /// Acquires a permit unless more than `may_be_reached` of the limits are reached.
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
        let (is_allowed, statuses): (bool, Vec<(u32, u64)>) = self.run(&script).await?;
        let statuses =
            limits.iter().zip(statuses).map(|(limit, (used, reset_after))| LimitStatus {
                limit: *limit,
                remaining: limit.count.saturating_sub(used.saturating_add(1)),
                reset_after: Duration::from_millis(reset_after),
                reached: used >= limit.count,
            });
        Ok(Permit { key, entry: is_allowed.then_some(entry), statuses: statuses.collect() })
    }
}

fn millis(window: Duration) -> u64 {
    u64::try_from(window.as_millis()).unwrap_or(u64::MAX)
}
