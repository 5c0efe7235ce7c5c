//! Idempotency keys: a client's names for its requests.

/// A client's key for one request, under which a retry is idempotent. The value of the header
/// `idempotency-key`: 1 to 255 printable ASCII characters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IdempotencyKey(String);

/// The text is not an idempotency key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("an idempotency key is 1 to 255 printable ASCII characters")]
pub struct MalformedIdempotencyKey;

impl IdempotencyKey {
    /// Accepts a well-formed value of the header.
    pub fn parse(raw: &str) -> Result<Self, MalformedIdempotencyKey> {
        let is_well_formed =
            (1..=255).contains(&raw.len()) && raw.bytes().all(|b| (b' '..=b'~').contains(&b));
        if is_well_formed { Ok(Self(raw.to_owned())) } else { Err(MalformedIdempotencyKey) }
    }

    /// The key as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}
