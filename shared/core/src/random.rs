//! Randomness, as a value that is passed in: tests choose what is drawn.
//!
//! The system's source is created in `shared_lambda::system_entropy`; `clippy.toml` forbids drawing from it
//! anywhere else.

use std::fmt;
use std::sync::Arc;

use jiff::Timestamp;
use uuid::Uuid;

/// Fills bytes from a cryptographically secure source.
#[derive(Clone)]
pub struct Entropy(Arc<Fill>);

type Fill = dyn Fn(&mut [u8]) + Send + Sync;

impl Entropy {
    /// A source that fills a slice with `fill`.
    pub fn new(fill: impl Fn(&mut [u8]) + Send + Sync + 'static) -> Self {
        Self(Arc::new(fill))
    }

    /// `N` random bytes.
    pub fn bytes<const N: usize>(&self) -> [u8; N] {
        let mut bytes = [0; N];
        (self.0)(&mut bytes);
        bytes
    }

    /// A `UUIDv7`: 48 bits of milliseconds since 1970, then 74 random bits, so that ids sort by their
    /// creation time ([RFC 9562 §5.7](https://www.rfc-editor.org/rfc/rfc9562#section-5.7)).
    pub fn uuid(&self, now: Timestamp) -> Uuid {
        let millis = u64::try_from(now.as_millisecond()).unwrap_or(0);
        uuid::Builder::from_unix_timestamp_millis(millis, &self.bytes()).into_uuid()
    }

    /// A number in `0..bound`, each equally likely.
    pub fn below(&self, bound: u32) -> u32 {
        // Rejection sampling: the tail would bias towards small numbers; at most half of all draws.
        let zone = u32::MAX - u32::MAX % bound;
        loop {
            let draw = u32::from_le_bytes(self.bytes());
            if draw < zone {
                return draw % bound;
            }
        }
    }
}

impl fmt::Debug for Entropy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Entropy")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_made_later_sort_later() {
        let entropy = Entropy::new(|bytes| bytes.fill(0xff));
        let early = entropy.uuid(Timestamp::from_millisecond(1_000).unwrap());
        let late = entropy.uuid(Timestamp::from_millisecond(1_001).unwrap());
        assert!(early < late);
        assert_eq!(early.get_version_num(), 7);
    }

    #[test]
    fn draws_in_the_biased_tail_are_rejected() {
        let draws = std::sync::atomic::AtomicU32::new(0);
        let entropy = Entropy::new(move |bytes| {
            let first = draws.fetch_add(1, std::sync::atomic::Ordering::Relaxed) == 0;
            bytes.copy_from_slice(&if first { u32::MAX } else { 1_000_007 }.to_le_bytes());
        });
        assert_eq!(entropy.below(1_000_000), 7);
    }
}
