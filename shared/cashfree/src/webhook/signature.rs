//! Verifies that a webhook is Cashfree's: `Base64(HMAC-SHA256(secret, timestamp + body))`, over the bytes as received
//! (<https://www.cashfree.com/docs/api-reference/payments/latest/payments/webhooks>).

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit, Mac};
use http::HeaderMap;
use jiff::{SignedDuration, Timestamp};
use secrecy::{ExposeSecret, SecretString};
use sha2::Sha256;
use shared_core::env::{ConfigError, Env};
use subtle::{Choice, ConstantTimeEq};

/// The header with the signature.
pub const SIGNATURE_HEADER: &str = "x-webhook-signature";
/// The header with the time of signing, in milliseconds since 1970. It is part of what is signed.
pub const TIMESTAMP_HEADER: &str = "x-webhook-timestamp";

/// SHA-256's output, and its length in Base64 with padding.
const MAC_BYTES: usize = 32;
const MAC_CHARACTERS: usize = 44;
/// How far a timestamp may be off. Cashfree's documentation recommends it against replays.
const TOLERANCE: SignedDuration = SignedDuration::from_mins(5);

/// The secrets that Cashfree may sign with: during a rotation, the new and the old one.
#[derive(Clone, Debug)]
pub struct WebhookSecrets(Vec<SecretString>);

/// Whether a webhook was signed just now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Freshness {
    /// Its timestamp is at most five minutes off.
    Fresh,
    /// Its timestamp is more than five minutes off, in either direction: a late retry, or a replay. Ask Cashfree before
    /// believing it.
    Stale,
}

/// Why a webhook is refused: for logs and metrics. Whoever sent it is told no reason.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
pub enum SignatureError {
    /// No secret is configured: billing is off.
    #[error("there is no secret to verify a webhook with")]
    NoSecret,
    /// The signature's or the timestamp's header is missing, or there are several.
    #[error("a webhook needs one signature and one timestamp")]
    Headers,
    /// The timestamp does not consist of 10 to 13 digits.
    #[error("the timestamp of a webhook is malformed")]
    Timestamp,
    /// The signature is not 32 bytes in Base64.
    #[error("the signature of a webhook is malformed")]
    Encoding,
    /// No secret has this signature.
    #[error("the signature of a webhook does not match")]
    Mismatch,
}

impl SignatureError {
    /// The label of logs and metrics.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::NoSecret => "no_secret",
            Self::Headers => "headers",
            Self::Timestamp => "timestamp",
            Self::Encoding => "encoding",
            Self::Mismatch => "mismatch",
        }
    }
}

impl WebhookSecrets {
    /// Reads `CASHFREE_WEBHOOK_SECRETS` (optional, separated by commas) and `CASHFREE_CLIENT_SECRET`, with which
    /// Cashfree signs unless webhooks have a secret of their own. Without either, every webhook is refused.
    pub fn from_env(env: &Env<'_>) -> Result<Self, ConfigError> {
        let own = env.optional("CASHFREE_WEBHOOK_SECRETS").unwrap_or_default();
        let client = env.optional("CASHFREE_CLIENT_SECRET");
        Ok(Self::new(own.split(',').chain(client.as_deref())))
    }

    /// These secrets, without the empty ones: anybody could sign with an empty secret.
    pub fn new<'a>(secrets: impl IntoIterator<Item = &'a str>) -> Self {
        let secrets = secrets.into_iter().map(str::trim).filter(|secret| !secret.is_empty());
        Self(secrets.map(SecretString::from).collect())
    }

    /// Verifies that a webhook was signed with one of the secrets; `body` is its body as received, before any parsing.
    pub fn verify(
        &self,
        headers: &HeaderMap,
        body: &[u8],
        now: Timestamp,
    ) -> Result<Freshness, SignatureError> {
        if self.0.is_empty() {
            return Err(SignatureError::NoSecret);
        }
        let timestamp = only(headers, TIMESTAMP_HEADER)?;
        let signature = decode(only(headers, SIGNATURE_HEADER)?)?;
        let signed_at = parse_timestamp(timestamp)?;
        if !self.has_signed(timestamp, body, &signature) {
            return Err(SignatureError::Mismatch);
        }
        let off = now.duration_since(signed_at).abs();
        Ok(if off > TOLERANCE { Freshness::Stale } else { Freshness::Fresh })
    }

    /// Tries each secret, also after a match: the time taken does not tell which one it was.
    fn has_signed(&self, timestamp: &[u8], body: &[u8], signature: &[u8; MAC_BYTES]) -> bool {
        let matches = self.0.iter().map(|secret| {
            let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(secret.expose_secret().as_bytes())
            else {
                return Choice::from(0);
            };
            mac.update(timestamp);
            mac.update(body);
            mac.finalize().into_bytes().ct_eq(signature)
        });
        matches.fold(Choice::from(0), |any, this| any | this).into()
    }
}

/// The value of a header that has to be there once.
fn only<'a>(headers: &'a HeaderMap, name: &str) -> Result<&'a [u8], SignatureError> {
    let mut values = headers.get_all(name).iter();
    match (values.next(), values.next()) {
        (Some(value), None) => Ok(value.as_bytes()),
        _ => Err(SignatureError::Headers),
    }
}

/// Only the one way in which Cashfree encodes a signature: not hexadecimal, not Base64's alphabet for URLs, and with
/// nothing around it.
fn decode(signature: &[u8]) -> Result<[u8; MAC_BYTES], SignatureError> {
    if signature.len() != MAC_CHARACTERS {
        return Err(SignatureError::Encoding);
    }
    let bytes = STANDARD.decode(signature).map_err(|_| SignatureError::Encoding)?;
    bytes.try_into().map_err(|_| SignatureError::Encoding)
}

/// Cashfree writes milliseconds, in 13 digits. Ten digits are read as seconds, because no other reading is near the
/// present. Eleven and twelve are read as milliseconds, too, and so are stale: they end in 2001.
fn parse_timestamp(digits: &[u8]) -> Result<Timestamp, SignatureError> {
    let is_number = (10..=13).contains(&digits.len()) && digits.iter().all(u8::is_ascii_digit);
    let number =
        str::from_utf8(digits).ok().filter(|_| is_number).and_then(|text| text.parse().ok());
    let number: i64 = number.ok_or(SignatureError::Timestamp)?;
    let time = if digits.len() == 10 {
        Timestamp::from_second(number)
    } else {
        Timestamp::from_millisecond(number)
    };
    time.map_err(|_| SignatureError::Timestamp)
}
