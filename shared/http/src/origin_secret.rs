//! The origin secret: on AWS, clients reach the app through one CloudFront distribution.
//!
//! The gateway behind it has a public address of its own, which bypasses the firewall and the
//! distribution; and the source address that the gateway reports is the distribution's. So the
//! distribution sends a secret, and beside it the client's IP address.

use std::net::IpAddr;

use http::HeaderMap;
use secrecy::{ExposeSecret, SecretString};
use shared_core::env::{ConfigError, Env};
use subtle::{Choice, ConstantTimeEq};

/// The distribution's secret.
const SECRET_HEADER: &str = "x-origin-secret";
/// The client's IP address. The distribution's own function sets it, overwriting what the browser sent.
const ADDRESS_HEADER: &str = "x-viewer-address";

/// How many secrets a request may try at once: as many as a rotation has.
const MOST_PARTS: usize = 2;

/// Recognizes requests that came through the distribution.
#[derive(Debug, Clone)]
pub(crate) struct OriginSecret {
    /// If unset, every request is admitted, as on a developer's machine.
    secret: Option<SecretString>,
}

/// Whether a request came through the distribution.
pub(crate) enum OriginCheck {
    /// No secret is configured.
    Disabled,
    /// Through the distribution, with the client's address if it sent one.
    Passed(Option<IpAddr>),
    /// Bypassing the distribution.
    Failed,
}

impl OriginSecret {
    /// `ORIGIN_SECRET`, of 32 characters or more; `new,old` during a rotation.
    pub(crate) fn from_env(env: &Env<'_>) -> Result<Self, ConfigError> {
        let secret = env.optional("ORIGIN_SECRET").map(SecretString::from);
        let parts = secret.iter().flat_map(|secret| secret.expose_secret().split(','));
        if parts.map(str::len).any(|length| length < 32) {
            return Err(ConfigError::new("ORIGIN_SECRET", "needs at least 32 characters"));
        }
        Ok(Self { secret })
    }

    pub(crate) fn check(&self, headers: &HeaderMap) -> OriginCheck {
        let Some(secret) = &self.secret else { return OriginCheck::Disabled };
        let sent = headers.get(SECRET_HEADER).map_or(&[][..], |value| value.as_bytes());
        if !have_one_in_common(secret.expose_secret(), sent) {
            return OriginCheck::Failed;
        }
        let address = headers.get(ADDRESS_HEADER).and_then(|value| value.to_str().ok());
        OriginCheck::Passed(address.and_then(|address| address.parse().ok()))
    }
}

/// Compares in constant time: the duration reveals the number of parts and their lengths, and nothing of their content.
/// Both sides may be in the middle of a rotation, and the distribution sends `new,old` as it stands.
fn have_one_in_common(secret: &str, sent: &[u8]) -> bool {
    let mut found = Choice::from(0);
    for sent in sent.split(|byte| *byte == b',').take(MOST_PARTS) {
        for secret in secret.split(',') {
            found |= secret.as_bytes().ct_eq(sent);
        }
    }
    found.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    const NEW: &str = "new-new-new-new-new-new-new-new-";
    const OLD: &str = "old-old-old-old-old-old-old-old-";

    fn origin_secret(secret: &str) -> Result<OriginSecret, ConfigError> {
        OriginSecret::from_env(&Env::new(|name| {
            (name == "ORIGIN_SECRET").then(|| secret.to_owned())
        }))
    }

    fn is_admitted(secret: &str, sent: &str) -> bool {
        let headers =
            HeaderMap::from_iter([(SECRET_HEADER.parse().unwrap(), sent.parse().unwrap())]);
        matches!(origin_secret(secret).unwrap().check(&headers), OriginCheck::Passed(None))
    }

    #[test]
    fn only_the_secret_is_admitted() {
        assert!(is_admitted(NEW, NEW));
        assert!(!is_admitted(NEW, OLD));
        assert!(!is_admitted(NEW, ""));
        assert!(!is_admitted(NEW, &NEW[..31]));
        assert!(matches!(
            origin_secret(NEW).unwrap().check(&HeaderMap::new()),
            OriginCheck::Failed
        ));
    }

    #[test]
    fn requests_are_admitted_at_each_step_of_a_secret_rotation() {
        let both = format!("{NEW},{OLD}");
        let steps = [OLD, &both, NEW];
        for (step, next) in steps.iter().zip(&steps[1..]) {
            for (known, sent) in [(step, step), (step, next), (next, step), (next, next)] {
                assert!(is_admitted(known, sent), "{sent} where {known} is known");
            }
        }
        assert!(!is_admitted(NEW, OLD), "after the rotation the old one is refused");
        assert!(!is_admitted(&both, ",") && !is_admitted(NEW, &format!("{OLD},{OLD},{NEW}")));
        assert!(
            origin_secret(&format!("{NEW},")).is_err(),
            "an empty secret would admit every request"
        );
    }
}
