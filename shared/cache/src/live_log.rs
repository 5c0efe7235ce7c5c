//! The live log of a turn: one stream per answer, from which a reader that joins late, or resumes, catches
//! up and follows.
//!
//! ```text
//!  producer ── append ───────▶ log (stream)               reader ── read(after) ──▶ LogPage
//!           ── heartbeat ────▶ log · alive · generation
//!           ◀── stop? ───────  stop ◀── request_stop ── any process
//! ```
//!
//! The log knows frames by their sequence numbers only, which count from 1; their content is the
//! caller's. A batch's id in the stream is the number of its last frame, so writing it is idempotent: the
//! server refuses an id that is not greater than the last one, so a batch that is retried because its
//! acknowledgement was lost is already there. The end is the greatest possible id: nothing can come after it.
//!
//! The cache may lose a log; the next heartbeat then begins a new one in the middle: see [`LogPage::batches`].

use std::sync::{Arc, LazyLock};
use std::time::Duration;

use redis::{ErrorKind, RedisError, Script, ScriptInvocation};
use shared_core::ids::{MessageId, UserId};

use crate::keys::turn_key;
use crate::{Cache, CacheError};

/// A script of the KEYS log, alive, stop, generation, with the functions that the scripts share. A batch
/// that is there already, or comes after the end, is not written; `append` returns whether there is no end yet.
/// Frame numbers stay text: Lua's numbers are doubles.
macro_rules! script {
    ($code:literal) => {
        LazyLock::new(|| {
            Script::new(concat!(
                r"
            local log, alive, stop, generation = KEYS[1], KEYS[2], KEYS[3], KEYS[4]
            local THE_END = '18446744073709551615-0'
            local function has_ended()
              return #redis.call('xrange', log, THE_END, THE_END) > 0
            end
            local function append(last, first, frames)
              if #redis.call('xrange', log, last or THE_END, '+', 'COUNT', 1) > 0 then
                return not has_ended()
              end
              if last then redis.call('xadd', log, last, 'first', first, 'frames', frames) end
              return true
            end
            ",
                $code
            ))
        })
    };
}

/// The first heartbeat creates the log, with a batch or without one: a turn that is orphaned before its first
/// frame leaves an empty log, and one that never began leaves none.
///
/// ARGV TTL of the log and of the alive key (ms), the generation or nothing, and last, first, frames of the
/// batch if there is one. Returns whether a stop was requested.
static HEARTBEAT: LazyLock<Script> = script!(
    r"
    local keep, lives, named = ARGV[1], ARGV[2], ARGV[3]
    if not append(ARGV[4], ARGV[5], ARGV[6]) then return 0 end
    if redis.call('pexpire', log, keep) == 0 then
      redis.call('xadd', log, '0-1', 'begun', '')
      redis.call('pexpire', log, keep)
    end
    if named ~= '' then redis.call('set', generation, named, 'PX', keep) end
    redis.call('set', alive, '', 'PX', lives)
    return redis.call('exists', stop)
    "
);

/// ARGV TTL of the log (ms), and last, first, frames of the batch if there is one.
static END: LazyLock<Script> = script!(
    r"
    local keep = ARGV[1]
    if append(ARGV[2], ARGV[3], ARGV[4]) then
      redis.call('xadd', log, THE_END, 'end', '')
      redis.call('pexpire', log, keep)
      redis.call('pexpire', generation, keep)
    end
    redis.call('del', alive, stop)
    "
);

/// ARGV the first frame to return, the page size in bytes, how many batches are fetched at a time. Returns
/// whether there may be more, whether the log exists, has ended, and the turn is alive; the generation; and
/// id, first, frames of each batch.
static READ: LazyLock<Script> = script!(
    r"
    local from, page, stride = ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3])
    local batches, bytes, found = {}, 0, nil
    repeat
      found = redis.call('xrange', log, from, '(' .. THE_END, 'COUNT', stride)
      for _, entry in ipairs(found) do
        local id, fields = entry[1], entry[2]
        batches[#batches + 1] = { id, fields[2], fields[4] }
        from, bytes = '(' .. id, bytes + #fields[4]
      end
    until #found < stride or bytes >= page
    local more = #found == stride
    local is_there, is_alive = redis.call('exists', log), redis.call('exists', alive)
    local named = redis.call('get', generation)
    return { more and 1 or 0, is_there, has_ended() and 1 or 0, is_alive, named, batches }
    "
);

/// ARGV TTL of the stop request (ms).
static STOP: LazyLock<Script> = script!("redis.call('set', stop, '', 'PX', ARGV[1])");

/// TTL of a log after its last heartbeat or its end, within which a client may resume.
const KEPT_FOR: Duration = Duration::from_hours(1);

/// TTL of a stop request, whose turn may not have begun: longer than any turn.
const STOP_ASKED_FOR: Duration = Duration::from_mins(10);

/// Page size, in bytes of frames.
const PAGE_BYTES: usize = 256 * 1024;

/// Batches fetched before their bytes are counted: a page exceeds its size by that many at most.
const STRIDE: usize = 16;

/// Consecutive frames: the unit of appending and reading.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Batch<B = Vec<u8>> {
    /// Sequence number of the first frame, from 1.
    pub first: u64,
    /// Sequence number of the last frame.
    pub last: u64,
    /// The frames, as they are sent to the client.
    pub frames: B,
}

impl Batch {
    /// Returns the frames after frame `last`; `None` if there is a gap between it and the batch. A frame
    /// ends with an empty line, and contains none.
    pub fn after(&self, last: u64) -> Option<&[u8]> {
        let known = (last + 1).checked_sub(self.first)?;
        let mut frames = &self.frames[..];
        for _ in 0..known {
            let end = frames.windows(2).position(|two| two == b"\n\n");
            frames = end.map_or(&[], |end| &frames[end + 2..]);
        }
        Some(frames)
    }
}

/// The state of a log, once all pages are read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogState {
    /// A producer appends to it, or will soon.
    Running,
    /// It is complete.
    Ended,
    /// The log has no end, and had no heartbeat for [`LiveLog::ALIVE_FOR`]: its producer is gone, or
    /// cannot reach the cache.
    Orphaned,
    /// There is no log: it has not begun, has expired, or the cache has lost it.
    Absent,
}

/// A page of frames that the reader does not have yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogPage {
    /// In order. The first one may begin before the requested frame, and any may repeat frames of the
    /// one before, if its producer's retry held more: the reader skips frames that it has. One that
    /// begins after the next frame is a gap: the cache was away meanwhile, and has lost frames.
    pub batches: Vec<Batch>,
    /// The current state of the log.
    pub state: LogState,
    /// The page is full: the reader requests the next one at once.
    pub has_more: bool,
    /// The provider's generation id, if the producer has appended it.
    pub generation: Option<String>,
}

/// The whole content of a log.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LogContents {
    /// Frames, from the first on.
    pub frames: Vec<u8>,
    /// The last one's number; 0 if there are none.
    pub last: u64,
    /// The provider's generation id, if the producer has appended it.
    pub generation: Option<String>,
}

/// The live log of one answer. Cheap to clone.
#[derive(Clone, Debug)]
pub struct LiveLog {
    cache: Cache,
    /// The keys log, alive, stop, generation.
    keys: Arc<[String; 4]>,
}

impl Cache {
    /// Returns the live log of `answer`. No call to the cache yet.
    pub fn live_log(&self, user: UserId, answer: &MessageId) -> LiveLog {
        let keys = ["log", "alive", "stop", "generation"];
        let keys = keys.map(|what| turn_key(self.prefix(), user, answer, what));
        LiveLog { cache: self.clone(), keys: keys.into() }
    }
}

impl LiveLog {
    /// TTL of a heartbeat: how long a turn counts as alive after one. The producer sends them more often.
    pub const ALIVE_FOR: Duration = Duration::from_secs(5);

    /// Renews the turn's lease, and appends a batch, if there is one. Returns whether a stop was requested.
    ///
    /// Idempotent: after an error, the same batch, or a longer one that begins with the same frame, may be
    /// retried. A log that has ended ignores it; that is no error. `generation` is kept as long as the log,
    /// from the last heartbeat that passed it.
    pub async fn heartbeat(
        &self,
        batch: Option<Batch<&[u8]>>,
        generation: Option<&str>,
    ) -> Result<bool, CacheError> {
        let mut script = self.invoke(&HEARTBEAT);
        script.arg(millis(KEPT_FOR)).arg(millis(Self::ALIVE_FOR)).arg(generation.unwrap_or(""));
        add_batch(&mut script, batch);
        self.cache.run_often(&script).await
    }

    /// Appends a batch between two heartbeats: one command, which costs the server a fraction of their script.
    /// Idempotent like a heartbeat. Returns whether there is a log: if not, the cache has lost it, and a
    /// heartbeat with the same batch begins it again.
    pub async fn append(&self, batch: Batch<&[u8]>) -> Result<bool, CacheError> {
        let Batch { first, last, frames } = batch;
        let mut command = redis::cmd("XADD");
        command.arg(&self.keys[0]).arg("NOMKSTREAM").arg(last);
        command.arg("first").arg(first).arg("frames").arg(frames);
        match self.cache.send_often::<Option<String>>(&command).await {
            Ok(id) => Ok(id.is_some()),
            Err(CacheError::Redis(error)) if is_repeat(&error) => Ok(true),
            Err(error) => Err(error),
        }
    }

    /// Appends the last batch, if there is one, and ends the log: readers stop there, and the alive key and
    /// any stop request are deleted. Idempotent.
    pub async fn end(&self, batch: Option<Batch<&[u8]>>) -> Result<(), CacheError> {
        let mut script = self.invoke(&END);
        script.arg(millis(KEPT_FOR));
        add_batch(&mut script, batch);
        self.cache.run(&script).await
    }

    /// Reads a page of the frames after frame `after` (0 for all), and the state of the log.
    pub async fn read(&self, after: u64) -> Result<LogPage, CacheError> {
        type Entry = (String, u64, Vec<u8>);
        type Answer = (bool, bool, bool, bool, Option<String>, Vec<Entry>);

        let mut script = self.invoke(&READ);
        script.arg(after.saturating_add(1)).arg(PAGE_BYTES).arg(STRIDE);
        let answer: Answer = self.cache.run_often(&script).await?;
        let (has_more, is_there, has_ended, is_alive, generation, entries) = answer;
        let batches = entries
            .into_iter()
            .map(|(id, first, frames)| Ok(Batch { first, last: last_frame(&id)?, frames }))
            .collect::<Result<_, CacheError>>()?;
        let state = match (has_ended, is_alive, is_there) {
            (true, _, _) => LogState::Ended,
            (false, true, _) => LogState::Running,
            (false, false, true) => LogState::Orphaned,
            (false, false, false) => LogState::Absent,
        };
        Ok(LogPage { batches, state, has_more, generation })
    }

    /// Reads the state of the log.
    pub async fn state(&self) -> Result<LogState, CacheError> {
        Ok(self.read(u64::MAX).await?.state)
    }

    /// Reads the whole log, up to the first gap.
    pub async fn read_all(&self) -> Result<LogContents, CacheError> {
        let mut contents = LogContents::default();
        loop {
            let page = self.read(contents.last).await?;
            contents.generation = page.generation;
            for batch in page.batches {
                let Some(frames) = batch.after(contents.last) else { return Ok(contents) };
                contents.frames.extend_from_slice(frames);
                contents.last = batch.last;
            }
            if !page.has_more {
                return Ok(contents);
            }
        }
    }

    /// Requests the producer to stop; its next heartbeat returns the request. May be called before the turn
    /// begins, and repeated.
    pub async fn request_stop(&self) -> Result<(), CacheError> {
        self.cache.run(self.invoke(&STOP).arg(millis(STOP_ASKED_FOR))).await
    }

    fn invoke(&self, script: &'static Script) -> ScriptInvocation<'static> {
        script.key(&*self.keys)
    }
}

fn add_batch(script: &mut ScriptInvocation<'_>, batch: Option<Batch<&[u8]>>) {
    if let Some(Batch { first, last, frames }) = batch {
        script.arg(last).arg(first).arg(frames);
    }
}

/// Whether an id was refused because it is not greater than the log's last one: the batch is there already, or the
/// log has ended.
fn is_repeat(refusal: &RedisError) -> bool {
    refusal
        .detail()
        .is_some_and(|detail| detail.contains("equal or smaller than the target stream"))
}

/// Parses the frame number of a stream id, `<last>-0`.
fn last_frame(id: &str) -> Result<u64, RedisError> {
    let last = id.split_once('-').and_then(|(last, _)| last.parse().ok());
    last.ok_or_else(|| (ErrorKind::UnexpectedReturnType, "not the id of a batch").into())
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_that_a_reader_has_are_left_out() {
        let frames = b"id: 4\ndata: a\n\nid: 5\ndata: b\n\ndata: [DONE]\n\n".to_vec();
        let batch = Batch { first: 4, last: 5, frames };
        assert_eq!(batch.after(2), None);
        assert_eq!(batch.after(3), Some(&batch.frames[..]));
        assert_eq!(batch.after(4), Some(&b"id: 5\ndata: b\n\ndata: [DONE]\n\n"[..]));
        assert_eq!(batch.after(5), Some(&b"data: [DONE]\n\n"[..]));
        assert_eq!(batch.after(9), Some(&b""[..]));
    }
}
