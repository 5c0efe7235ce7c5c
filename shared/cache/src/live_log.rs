//! The live log of a turn: one stream per answer, from which a reader who comes late, or again, catches
//! up and follows.
//!
//! ```text
//!  producer ── append ──▶ log (stream) · alive · generation       reader ── read(after) ──▶ Page
//!           ◀── stop? ───  stop ◀── request_stop ── anybody
//! ```
//!
//! The log knows frames by their sequence numbers only, which count from 1; what is in them is the
//! caller's. A batch's id in the stream is the number of its last frame, so a batch that is sent again,
//! because nobody heard that it had arrived, is already there. The end is the greatest id there is:
//! nothing can come after it.
//!
//! The cache may forget, and what comes after that begins a new log in the middle: see
//! [`Page::batches`].

use std::sync::{Arc, LazyLock};
use std::time::Duration;

use redis::{ErrorKind, RedisError, Script, ScriptInvocation};
use shared_core::ids::{MessageId, UserId};

use crate::keys::turn_key;
use crate::{Cache, CacheError};

/// A script of the KEYS log, alive, stop, generation, and what the scripts share. A batch that is there
/// already, or comes after the end, is not written. Numbers of frames stay text: Lua's are doubles.
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
            local function append(keep, last, first, frames)
              if last and #redis.call('xrange', log, last, '+', 'COUNT', 1) == 0 then
                redis.call('xadd', log, last .. '-0', 'first', first, 'frames', frames)
                redis.call('pexpire', log, keep)
              end
            end
            ",
                $code
            ))
        })
    };
}

/// The first append makes the log, with a batch or without one: a turn that dies before it has said a word
/// leaves an empty log, and not none, as one that never began.
///
/// ARGV how long the log is kept and how long the turn is alive (ms), the generation or nothing, and last,
/// first, frames of the batch if there is one. Answers whether a stop was asked for.
static APPEND: LazyLock<Script> = script!(
    r"
    local keep, lives, named = ARGV[1], ARGV[2], ARGV[3]
    if has_ended() then return 0 end
    append(keep, ARGV[4], ARGV[5], ARGV[6])
    if redis.call('exists', log) == 0 then
      redis.call('xadd', log, '0-1', 'begun', '')
      redis.call('pexpire', log, keep)
    end
    if named ~= '' then redis.call('set', generation, named, 'PX', keep) end
    redis.call('set', alive, '', 'PX', lives)
    return redis.call('exists', stop)
    "
);

/// ARGV how long the log is kept (ms), and last, first, frames of the batch if there is one.
static END: LazyLock<Script> = script!(
    r"
    local keep = ARGV[1]
    append(keep, ARGV[2], ARGV[3], ARGV[4])
    if not has_ended() then
      redis.call('xadd', log, THE_END, 'end', '')
      redis.call('pexpire', log, keep)
      redis.call('pexpire', generation, keep)
    end
    redis.call('del', alive, stop)
    "
);

/// ARGV the first frame that is wanted, how many bytes make a page, how many batches are looked at in one
/// go. Answers whether there may be more, whether the log is there, has ended, and the turn is alive; the
/// generation; and id, first, frames of each batch.
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

/// ARGV how long it is asked for (ms).
static STOP: LazyLock<Script> = script!("redis.call('set', stop, '', 'PX', ARGV[1])");

/// How long a log is kept after its last batch, in which a browser may come back to it.
const KEPT_FOR: Duration = Duration::from_hours(1);

/// How long somebody who asked to stop waits for a producer that has not begun: longer than any turn.
const STOP_ASKED_FOR: Duration = Duration::from_mins(10);

/// As many bytes of frames make a page.
const PAGE_BYTES: usize = 256 * 1024;

/// So many batches are looked at before their bytes are counted: a page is larger by that at most.
const STRIDE: usize = 16;

/// Some frames that follow each other: what is appended, and read, at a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Batch<B = Vec<u8>> {
    /// Sequence number of the first frame, from 1.
    pub first: u64,
    /// That of the last one.
    pub last: u64,
    /// The frames, as they go to the client.
    pub frames: B,
}

impl Batch {
    /// What follows frame `last` in it; nothing if there is a gap between them. A frame ends with an empty
    /// line, and holds none.
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

/// How a log stands, once all pages are read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogState {
    /// Somebody appends to it, or will soon.
    Running,
    /// It is complete.
    Ended,
    /// There is a log without an end, and nobody has said for [`LiveLog::ALIVE_FOR`] that the turn is
    /// alive: its producer is dead, or cannot reach the cache.
    Orphaned,
    /// There is nothing: it has not begun, is long over, or the cache has forgotten it.
    Absent,
}

/// What a reader does not know yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Page {
    /// In their order. The first one may begin before what was asked for, and any may repeat frames of
    /// the one before, if its producer sent more the second time: the reader skips what it has. One that
    /// begins after the next frame is a gap: the cache was away meanwhile, and has lost what was there.
    pub batches: Vec<Batch>,
    /// How the log stands now.
    pub state: LogState,
    /// The page is full: the next one is to be asked for at once.
    pub has_more: bool,
    /// The provider's name of the answer, if the producer has said it.
    pub generation: Option<String>,
}

/// All that a log holds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LogContents {
    /// Frames, from the first on.
    pub frames: Vec<u8>,
    /// The last one's number; 0 if there are none.
    pub last: u64,
    /// The provider's name of the answer, if the producer has said it.
    pub generation: Option<String>,
}

/// The live log of one answer. Cheap to clone.
#[derive(Clone, Debug)]
pub struct LiveLog {
    cache: Cache,
    /// The log, alive, stop, generation.
    keys: Arc<[String; 4]>,
}

impl Cache {
    /// The live log of `answer`. Nothing is asked or written yet.
    pub fn live_log(&self, user: UserId, answer: &MessageId) -> LiveLog {
        let keys = ["log", "alive", "stop", "generation"];
        let keys = keys.map(|what| turn_key(self.prefix(), user, answer, what));
        LiveLog { cache: self.clone(), keys: keys.into() }
    }
}

impl LiveLog {
    /// How long a turn counts as alive after an append. It has to be said more often, and also when there
    /// is nothing to append.
    pub const ALIVE_FOR: Duration = Duration::from_secs(5);

    /// Says that the turn is alive, and appends a batch, if there is one. Answers whether a stop was asked
    /// for.
    ///
    /// After an error, the same batch, or a longer one that begins with the same frame, may be sent again.
    /// A log that has ended takes nothing more; that is no error. `generation` is kept as long as the log,
    /// from when it was last said.
    pub async fn append(
        &self,
        batch: Option<Batch<&[u8]>>,
        generation: Option<&str>,
    ) -> Result<bool, CacheError> {
        let mut script = self.invoke(&APPEND);
        script.arg(millis(KEPT_FOR)).arg(millis(Self::ALIVE_FOR)).arg(generation.unwrap_or(""));
        add_batch(&mut script, batch);
        self.cache.run_often(&script).await
    }

    /// Appends the last batch, if there is one, and ends the log: readers stop there, the turn is alive no
    /// longer, and a stop that was asked for is forgotten. May be sent again.
    pub async fn end(&self, batch: Option<Batch<&[u8]>>) -> Result<(), CacheError> {
        let mut script = self.invoke(&END);
        script.arg(millis(KEPT_FOR));
        add_batch(&mut script, batch);
        self.cache.run(&script).await
    }

    /// What was appended after frame `after`, 0 for all of it, and how the log stands.
    pub async fn read(&self, after: u64) -> Result<Page, CacheError> {
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
        Ok(Page { batches, state, has_more, generation })
    }

    /// All of it, as far as it goes without a gap.
    pub async fn read_all(&self) -> Result<LogContents, CacheError> {
        let mut said = LogContents::default();
        loop {
            let page = self.read(said.last).await?;
            said.generation = page.generation;
            for batch in page.batches {
                let Some(frames) = batch.after(said.last) else { return Ok(said) };
                said.frames.extend_from_slice(frames);
                said.last = batch.last;
            }
            if !page.has_more {
                return Ok(said);
            }
        }
    }

    /// Asks whoever produces the answer to stop; the next append learns of it. May be asked before the
    /// turn begins, and again.
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

/// Of a stream's `<last>-0`.
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
