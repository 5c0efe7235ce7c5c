//! The header `idempotency-key`.

use http::HeaderMap;
use shared_core::idempotency_key::{IdempotencyKey, MalformedIdempotencyKey};

/// The request's idempotency key, if it has one.
pub fn idempotency_key(
    headers: &HeaderMap,
) -> Result<Option<IdempotencyKey>, MalformedIdempotencyKey> {
    let value = headers.get("idempotency-key").map(|value| value.to_str());
    let text = value.transpose().map_err(|_| MalformedIdempotencyKey)?;
    text.map(IdempotencyKey::parse).transpose()
}
