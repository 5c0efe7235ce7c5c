//! Users' own keys (BYOK), encrypted.

pub(crate) mod provider_keys;
pub(crate) mod rotation;
