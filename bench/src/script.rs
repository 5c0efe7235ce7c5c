//! Scripts for the upstream, encoded in the name of a model, and the stamps that its chunks carry.

use std::time::Duration;

/// An answer of equal chunks at fixed times.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Script {
    /// The number of chunks.
    pub(crate) chunks: usize,
    /// The time from one chunk to the next.
    pub(crate) gap: Duration,
    /// The time from the response's head to the first chunk.
    pub(crate) silence: Duration,
}

/// The prefix of all scripts' models; the product's model table offers it.
const PREFIX: &str = "openai/bench-";

impl Script {
    /// Chunks at a steady pace.
    pub(crate) const fn steady(chunks: usize, gap: Duration) -> Self {
        Self { chunks, gap, silence: gap }
    }

    /// The duration of the upstream's answer.
    pub(crate) fn length(&self) -> Duration {
        let gaps = u32::try_from(self.chunks.saturating_sub(1)).unwrap_or(u32::MAX);
        self.silence + self.gap * gaps
    }

    /// The name of the model for this script.
    pub(crate) fn model(&self) -> String {
        let (gap, silence) = (self.gap.as_micros(), self.silence.as_micros());
        format!("{PREFIX}{}-{gap}-{silence}", self.chunks)
    }

    /// The script of the model in a request's body.
    pub(crate) fn of_request(body: &[u8]) -> Option<Self> {
        let at = body.windows(PREFIX.len()).position(|window| window == PREFIX.as_bytes())?;
        let name = &body[at + PREFIX.len()..];
        let end = name.iter().position(|byte| *byte == b'"')?;
        let mut numbers = std::str::from_utf8(&name[..end]).ok()?.split('-');
        let mut number = || numbers.next()?.parse::<u32>().ok();
        Some(Self {
            chunks: usize::try_from(number()?).ok()?,
            gap: Duration::from_micros(number()?.into()),
            silence: Duration::from_micros(number()?.into()),
        })
    }
}

/// When the upstream received the request, and when it sent the chunk with this stamp.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Stamp {
    /// Nanoseconds on the shared clock.
    pub(crate) received: u64,
    /// Nanoseconds on the shared clock.
    pub(crate) sent: u64,
}

impl std::fmt::Display for Stamp {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "@{},{};", self.received, self.sent)
    }
}

impl Stamp {
    /// The first complete stamp in `bytes`, and where it ends.
    pub(crate) fn find(bytes: &[u8]) -> Option<(Self, usize)> {
        let at = bytes.iter().position(|byte| *byte == b'@')? + 1;
        let (received, comma) = number(bytes, at)?;
        let (sent, end) = number(bytes, comma + 1)?;
        Some((Self { received, sent }, end + 1))
    }
}

/// The number that begins at `from`, and the position of the first byte after it.
fn number(bytes: &[u8], from: usize) -> Option<(u64, usize)> {
    let digits = bytes.get(from..)?;
    let length = digits.iter().position(|byte| !byte.is_ascii_digit())?;
    let text = std::str::from_utf8(&digits[..length]).ok()?;
    Some((text.parse().ok()?, from + length))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_script_survives_its_way_through_a_request() {
        let script = Script {
            chunks: 50,
            gap: Duration::from_millis(10),
            silence: Duration::from_micros(1_500),
        };
        let body = format!(r#"{{"model":"{}","stream":true}}"#, script.model());
        assert_eq!(Script::of_request(body.as_bytes()), Some(script));
        assert_eq!(Script::of_request(b"{}"), None);
    }

    #[test]
    fn a_stamp_is_found_once_it_is_there_whole() {
        let stamp = Stamp { received: 12, sent: 3_456 };
        let bytes = format!("data: {{\"delta\":\"{stamp}\"}}");
        let (found, end) = Stamp::find(bytes.as_bytes()).unwrap();
        assert_eq!(found, stamp);
        assert_eq!(&bytes[end - 1..end], ";");
        assert_eq!(Stamp::find(&bytes.as_bytes()[..end - 1]), None);
    }
}
