//! Ends a decoder that takes too long: a decoder cannot be interrupted, but it stops when its input fails.

use std::io::{self, BufRead, Read, Seek, SeekFrom};
use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};
use shared_core::uploads::UnreadableFile;

/// Bytes between two looks at the clock: some 100 µs of decoding.
const CHECK_EVERY: usize = 16 * 1024;

/// The processor time of this thread by which a file has to be decoded.
///
/// Not the time of day: a good file must not be refused because the machine is busy, or its share of a processor small.
#[derive(Clone, Copy, Debug)]
pub(super) struct Deadline(Duration);

impl Deadline {
    pub(super) fn after(duration: Duration) -> Self {
        Self(processor_time() + duration)
    }

    pub(super) fn has_passed(self) -> bool {
        processor_time() >= self.0
    }

    pub(super) fn check(self) -> Result<(), UnreadableFile> {
        if self.has_passed() { Err(UnreadableFile::TooComplex) } else { Ok(()) }
    }

    /// Why a decoder has failed: a reader that ran out of time looks to it like any other error.
    pub(super) fn cause(self) -> UnreadableFile {
        if self.has_passed() { UnreadableFile::TooComplex } else { UnreadableFile::Damaged }
    }

    /// Reads these bytes until the deadline, and fails afterwards.
    pub(super) fn reader(self, bytes: &[u8]) -> DeadlineReader<'_> {
        DeadlineReader { bytes, position: 0, check_at: CHECK_EVERY, deadline: self }
    }
}

/// The processor time that this thread has used.
fn processor_time() -> Duration {
    // Neither is negative.
    Duration::try_from(clock_gettime(ClockId::ThreadCPUTime)).unwrap_or_default()
}

/// A reader of bytes that fails once its deadline has passed.
#[derive(Debug)]
pub(super) struct DeadlineReader<'a> {
    bytes: &'a [u8],
    position: usize,
    /// The position at which to look at the clock.
    check_at: usize,
    deadline: Deadline,
}

impl DeadlineReader<'_> {
    #[inline]
    fn rest(&self) -> &[u8] {
        self.bytes.get(self.position..).unwrap_or_default()
    }

    #[inline]
    fn check(&mut self) -> io::Result<()> {
        if self.position < self.check_at { Ok(()) } else { self.look_at_the_clock() }
    }

    /// A passed deadline leaves `check_at` behind, so that every later read fails, too.
    #[cold]
    fn look_at_the_clock(&mut self) -> io::Result<()> {
        if self.deadline.has_passed() {
            return Err(io::ErrorKind::TimedOut.into());
        }
        self.check_at = self.position + CHECK_EVERY;
        Ok(())
    }
}

impl Read for DeadlineReader<'_> {
    #[inline]
    fn read(&mut self, to: &mut [u8]) -> io::Result<usize> {
        self.check()?;
        let from = self.rest();
        let count = from.len().min(to.len());
        to[..count].copy_from_slice(&from[..count]);
        self.position += count;
        Ok(count)
    }
}

impl BufRead for DeadlineReader<'_> {
    #[inline]
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        self.check()?;
        let rest = self.rest();
        Ok(&rest[..rest.len().min(CHECK_EVERY)])
    }

    #[inline]
    fn consume(&mut self, count: usize) {
        self.position += count;
    }
}

impl Seek for DeadlineReader<'_> {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        let (base, offset) = match to {
            SeekFrom::Start(position) => (position, 0),
            SeekFrom::End(offset) => (self.bytes.len() as u64, offset),
            SeekFrom::Current(offset) => (self.position as u64, offset),
        };
        let position = base.checked_add_signed(offset).and_then(|at| usize::try_from(at).ok());
        self.position = position.ok_or(io::ErrorKind::InvalidInput)?;
        self.check_at = self.check_at.min(self.position + CHECK_EVERY);
        Ok(self.position as u64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waiting_is_not_decoding() {
        let deadline = Deadline::after(Duration::from_millis(50));
        std::thread::sleep(Duration::from_millis(60));
        assert!(!deadline.has_passed());
        while !deadline.has_passed() {
            std::hint::spin_loop();
        }
    }

    #[test]
    fn a_reader_fails_after_its_deadline() {
        let bytes = vec![7; 3 * CHECK_EVERY];
        let mut reader = Deadline::after(Duration::ZERO).reader(&bytes);
        let mut read = Vec::new();
        assert_eq!(reader.read_to_end(&mut read).unwrap_err().kind(), io::ErrorKind::TimedOut);
        assert!(read.len() < bytes.len());
        assert_eq!(reader.fill_buf().unwrap_err().kind(), io::ErrorKind::TimedOut);

        let mut reader = Deadline::after(Duration::from_mins(1)).reader(&bytes);
        let mut read = Vec::new();
        reader.read_to_end(&mut read).unwrap();
        assert_eq!(read, bytes);
        assert_eq!(reader.seek(SeekFrom::End(-1)).unwrap(), bytes.len() as u64 - 1);
        assert!(reader.seek(SeekFrom::Current(i64::MIN)).is_err());
    }
}
