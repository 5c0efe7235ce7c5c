//! The front door: on AWS, people reach the app through one CloudFront distribution.
//!
//! The gateway behind it has an address of its own, where neither the firewall nor the distribution
//! stands; and what the gateway calls the source address is the distribution's. So the distribution
//! sends a secret along, and beside it the address of whoever asked.

use std::net::IpAddr;

use http::HeaderMap;
use secrecy::{ExposeSecret, SecretString};
use shared_core::env::{ConfigError, Env};
use subtle::{Choice, ConstantTimeEq};

/// What the distribution sends to prove itself.
const SECRET_HEADER: &str = "x-origin-secret";
/// Whom the distribution speaks for. Its own function writes this, over whatever the browser sent.
const ADDRESS_HEADER: &str = "x-viewer-address";

/// How many secrets a request may try at once: as many as a change has.
const MOST_PARTS: usize = 2;

/// Knows requests that came through the distribution.
#[derive(Debug, Clone)]
pub(crate) struct OriginSecret {
    /// Without one, every door is open, as on a developer's machine.
    secret: Option<SecretString>,
}

/// How a request came in.
pub(crate) enum Entrance {
    /// Nobody watches the door.
    Unwatched,
    /// By the distribution, which says for whom.
    OriginSecret(Option<IpAddr>),
    /// Past it.
    Elsewhere,
}

impl OriginSecret {
    /// `ORIGIN_SECRET`, of 32 characters or more; `new,old` while it is being changed.
    pub(crate) fn from_env(env: &Env<'_>) -> Result<Self, ConfigError> {
        let secret = env.optional("ORIGIN_SECRET").map(SecretString::from);
        let parts = secret.iter().flat_map(|secret| secret.expose_secret().split(','));
        if parts.map(str::len).any(|length| length < 32) {
            return Err(ConfigError::new("ORIGIN_SECRET", "needs at least 32 characters"));
        }
        Ok(Self { secret })
    }

    pub(crate) fn entrance(&self, headers: &HeaderMap) -> Entrance {
        let Some(secret) = &self.secret else { return Entrance::Unwatched };
        let said = headers.get(SECRET_HEADER).map_or(&[][..], |value| value.as_bytes());
        if !have_one_in_common(secret.expose_secret(), said) {
            return Entrance::Elsewhere;
        }
        let address = headers.get(ADDRESS_HEADER).and_then(|value| value.to_str().ok());
        Entrance::OriginSecret(address.and_then(|address| address.parse().ok()))
    }
}

/// Both sides may be in the middle of a change, and the distribution sends what it was given as it
/// stands. How long it takes says how many parts there are, and nothing of what is in them.
fn have_one_in_common(secret: &str, said: &[u8]) -> bool {
    let mut found = Choice::from(0);
    for said in said.split(|byte| *byte == b',').take(MOST_PARTS) {
        for secret in secret.split(',') {
            found |= secret.as_bytes().ct_eq(said);
        }
    }
    found.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    const NEW: &str = "new-new-new-new-new-new-new-new-";
    const OLD: &str = "old-old-old-old-old-old-old-old-";

    fn door(secret: &str) -> Result<OriginSecret, ConfigError> {
        OriginSecret::from_env(&Env::new(|name| {
            (name == "ORIGIN_SECRET").then(|| secret.to_owned())
        }))
    }

    fn is_let_in(secret: &str, said: &str) -> bool {
        let headers =
            HeaderMap::from_iter([(SECRET_HEADER.parse().unwrap(), said.parse().unwrap())]);
        matches!(door(secret).unwrap().entrance(&headers), Entrance::OriginSecret(None))
    }

    #[test]
    fn only_the_secret_opens() {
        assert!(is_let_in(NEW, NEW));
        assert!(!is_let_in(NEW, OLD));
        assert!(!is_let_in(NEW, ""));
        assert!(!is_let_in(NEW, &NEW[..31]));
        assert!(matches!(door(NEW).unwrap().entrance(&HeaderMap::new()), Entrance::Elsewhere));
    }

    #[test]
    fn at_each_step_of_a_change_all_get_in_whoever_has_made_it_already() {
        let both = format!("{NEW},{OLD}");
        let steps = [OLD, &both, NEW];
        for (step, next) in steps.iter().zip(&steps[1..]) {
            for (known, said) in [(step, step), (step, next), (next, step), (next, next)] {
                assert!(is_let_in(known, said), "{said} where {known} is known");
            }
        }
        assert!(!is_let_in(NEW, OLD), "in the end the old one is worth nothing");
        assert!(!is_let_in(&both, ",") && !is_let_in(NEW, &format!("{OLD},{OLD},{NEW}")));
        assert!(door(&format!("{NEW},")).is_err(), "an empty secret would let everybody in");
    }
}
