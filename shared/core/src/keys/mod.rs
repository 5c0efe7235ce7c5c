//! Users' own keys (BYOK): their policy, their check, and their encrypted form.

mod encrypted;
mod provider_key;

pub use encrypted::{DataKeyId, Sealed, WrappedKey};
pub use provider_key::{
    InvalidCap, KeyError, KeyInfo, KeyPolicy, KeyStatus, MalformedKey, MonthlyCap, ProviderKey,
};
