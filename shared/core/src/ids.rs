//! Who and what a row belongs to, as types that cannot be mixed up.

use std::fmt;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// A user.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct UserId(pub Uuid);

/// A login: one browser, from verify to logout or expiry. The JWT's `jti`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct SessionId(pub Uuid);

impl fmt::Display for UserId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Display for SessionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// What ties the lines of one request's logs together, ours and those of the systems behind: 16 bytes
/// that are not all zero, as [W3C Trace Context](https://www.w3.org/TR/trace-context/#trace-id) has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TraceId(u128);

impl TraceId {
    /// That of AWS's header `X-Amzn-Trace-Id`, `Root=1-<8 hex digits>-<24 hex digits>;…`.
    pub fn from_xray(header: &str) -> Option<Self> {
        let root = header.split(';').find_map(|part| part.trim().strip_prefix("Root=1-"))?;
        let (time, random) = root.split_once('-')?;
        let is_well_formed = time.len() == 8
            && random.len() == 24
            && root.bytes().all(|byte| byte.is_ascii_hexdigit() || byte == b'-');
        let id = u128::from_str_radix(&format!("{time}{random}"), 16).ok()?;
        (is_well_formed && id != 0).then_some(Self(id))
    }
}

impl From<Uuid> for TraceId {
    fn from(id: Uuid) -> Self {
        Self(id.as_u128())
    }
}

impl fmt::Display for TraceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

/// The id of a chat or a message is not well formed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("an id is 8 to 64 letters, digits, '-' or '_'")]
pub struct MalformedId;

/// Shortest id a client may make: the AI SDK's are 16 characters, so 8 leaves room and still cannot
/// be met by chance.
const SHORTEST: usize = 8;
/// Longest id a client may make; a UUID has 36 characters.
const LONGEST: usize = 64;

/// Text, because the AI SDK's client makes ids of 16 characters that are not UUIDs, and a chat has
/// to keep the id under which the browser already knows it. Ids made here are `UUIDv7`.
macro_rules! client_id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(String);

        impl $name {
            /// Accepts 8 to 64 characters of `[A-Za-z0-9_-]`.
            pub fn parse(raw: &str) -> Result<Self, MalformedId> {
                let well_formed = (SHORTEST..=LONGEST).contains(&raw.len())
                    && raw.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_');
                if well_formed { Ok(Self(raw.to_owned())) } else { Err(MalformedId) }
            }

            /// The id as text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl TryFrom<String> for $name {
            type Error = MalformedId;

            fn try_from(raw: String) -> Result<Self, MalformedId> {
                Self::parse(&raw)
            }
        }

        impl From<$name> for String {
            fn from(id: $name) -> Self {
                id.0
            }
        }

        impl From<Uuid> for $name {
            fn from(id: Uuid) -> Self {
                Self(id.to_string())
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}

client_id!(
    /// A chat. Made by the client or by us.
    ChatId
);
client_id!(
    /// A message in a chat. Questions may be named by the client, answers are named by us.
    MessageId
);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_ids_of_the_ai_sdk_and_uuids_are_well_formed() {
        assert!(ChatId::parse("q2dXzYk3vN8aLm0P").is_ok());
        assert!(MessageId::parse("0198c5a0-7b1e-7cc3-98c4-dc0c0c07398f").is_ok());
    }

    #[test]
    fn a_trace_is_read_from_awss_header() {
        let id = |header| TraceId::from_xray(header).map(|id| id.to_string());
        let expected = Some("692227c65a3b1c7e2f4d6a8b9c0d1e2f".to_owned());
        assert_eq!(id("Root=1-692227c6-5a3b1c7e2f4d6a8b9c0d1e2f"), expected);
        assert_eq!(
            id(
                "Self=1-6-7;Root=1-692227c6-5a3b1c7e2f4d6a8b9c0d1e2f;Parent=53995c3f42cd8ad8;Sampled=1"
            ),
            expected
        );
        for header in [
            "",
            "Root=1-692227c6",
            "Root=1-692227c6-5a3b1c7e2f4d6a8b9c0d1e2",
            "Root=1-+92227c6-5a3b1c7e2f4d6a8b9c0d1e2f",
            "Root=1-00000000-000000000000000000000000",
        ] {
            assert_eq!(id(header), None, "{header}");
        }
    }

    #[test]
    fn short_long_and_odd_ids_are_refused() {
        for raw in ["", "1234567", &"x".repeat(65), "has space", "semi;colon", "naïve-id-1"] {
            assert_eq!(ChatId::parse(raw), Err(MalformedId), "{raw}");
        }
    }
}
