//! An e-mail address, in the one form in which it is compared and stored.

use std::fmt;

/// An address that can be written to: trimmed, lower case, at most 254 bytes.
///
/// The local part is lowercased too: every large provider ignores its case, and two accounts that
/// differ by case alone would only ever be one user's mistake.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Email(String);

/// The text is not a supported e-mail address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("that is not an e-mail address")]
pub struct MalformedEmail;

/// RFC 5321 §4.5.3.1.3 leaves 254 characters for an address within a path.
const LONGEST: usize = 254;
/// RFC 5321 §4.5.3.1.1.
const LONGEST_LOCAL_PART: usize = 64;

impl Email {
    /// Accepts the common form `local@domain.tld`. Quoted local parts, comments, address literals and
    /// non-ASCII are refused: the proof of an address is the code that arrives there.
    pub fn parse(raw: &str) -> Result<Self, MalformedEmail> {
        let address = raw.trim().to_ascii_lowercase();
        let (local, domain) = address.split_once('@').ok_or(MalformedEmail)?;
        let well_formed = address.len() <= LONGEST && is_local_part(local) && is_domain(domain);
        if well_formed { Ok(Self(address)) } else { Err(MalformedEmail) }
    }

    /// The normalised address.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

fn is_local_part(local: &str) -> bool {
    let allowed = |b: u8| b.is_ascii_alphanumeric() || b"!#$%&'*+/=?^_`{|}~-.".contains(&b);
    !local.is_empty()
        && local.len() <= LONGEST_LOCAL_PART
        && local.bytes().all(allowed)
        && !local.starts_with('.')
        && !local.ends_with('.')
        && !local.contains("..")
}

fn is_domain(domain: &str) -> bool {
    let is_label = |label: &str| {
        !label.is_empty()
            && label.len() <= 63
            && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    domain.contains('.') && domain.split('.').all(is_label)
}

/// Redacted: the address is personal data and must not be logged.
impl fmt::Debug for Email {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Email(…)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_normalised() {
        let email = Email::parse("  Ada.Lovelace+chat@Example.COM ").unwrap();
        assert_eq!(email.as_str(), "ada.lovelace+chat@example.com");
    }

    #[test]
    fn a_malformed_address_is_refused() {
        let too_long = format!("{}@example.com", "x".repeat(65));
        for raw in [
            "",
            "ada",
            "ada@",
            "@example.com",
            "ada@example",
            "a b@example.com",
            "ada@exa mple.com",
            "ada@@example.com",
            "ada@-x.com",
            "ada@x..com",
            ".ada@x.com",
            "a..b@x.com",
            "ada@x.com\r\nbcc: b@x.com",
            "ada@[127.0.0.1]",
            "\"ada\"@x.com",
            &too_long,
        ] {
            assert_eq!(Email::parse(raw), Err(MalformedEmail), "{raw}");
        }
    }

    #[test]
    fn debug_output_redacts_the_address() {
        assert!(!format!("{:?}", Email::parse("ada@example.com").unwrap()).contains("ada"));
    }
}
