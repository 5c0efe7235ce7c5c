//! Sliding-window limits: a list of the times at which something was allowed.
//!
//! A limit of `n` per window is reached if the `n`-th newest entry is still inside the window. The
//! list is no longer than the largest limit, and what is refused is not written down, so somebody
//! who hammers costs nothing and does not lock themselves out for longer.

use std::sync::LazyLock;
use std::time::Duration;

use jiff::Timestamp;
use redis::Script;
use shared_core::limits::{Limit, LimitReached};

use crate::{Cache, Error, Subject};

/// KEYS[1] the list; ARGV now (ms), then count and window (ms) of each limit.
/// Answers the milliseconds until the next one is allowed, 0 if this one is.
static TAKE: LazyLock<Script> = LazyLock::new(|| {
    Script::new(
        r"
        local now, wait, longest, most = tonumber(ARGV[1]), 0, 0, 0
        for i = 2, #ARGV, 2 do
          local count, window = tonumber(ARGV[i]), tonumber(ARGV[i + 1])
          local entry = redis.call('lindex', KEYS[1], -count)
          if entry and tonumber(entry) + window > now then
            wait = math.max(wait, tonumber(entry) + window - now)
          end
          longest, most = math.max(longest, window), math.max(most, count)
        end
        if wait == 0 then
          redis.call('rpush', KEYS[1], now)
          redis.call('ltrim', KEYS[1], -most, -1)
          redis.call('pexpire', KEYS[1], longest)
        end
        return wait
        ",
    )
});

impl Cache {
    /// Takes one of what `subject` may still do of `what`, if all `limits` leave one.
    ///
    /// The outer error is the cache's, the inner one the limit's.
    pub async fn take(
        &self,
        subject: &Subject,
        what: &str,
        limits: &[Limit],
        now: Timestamp,
    ) -> Result<Result<(), LimitReached>, Error> {
        let mut script = TAKE.prepare_invoke();
        script.key(subject.key(self.prefix(), what)).arg(now.as_millisecond());
        for limit in limits {
            script.arg(limit.count).arg(millis(limit.window));
        }
        let wait: u64 = self.run(&script).await?;
        if wait == 0 {
            return Ok(Ok(()));
        }
        let retry_after = Duration::from_secs(wait.div_ceil(1000));
        Ok(Err(LimitReached { retry_after }))
    }
}

fn millis(window: Duration) -> u64 {
    u64::try_from(window.as_millis()).unwrap_or(u64::MAX)
}
