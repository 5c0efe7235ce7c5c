//! Login with a one-time code: the code itself, its limits, and its errors.
//!
//! Figures follow OWASP ASVS 5.0 §6.5–6.6 and NIST SP 800-63B-4: at least 20 bits, at most ten
//! minutes, accepted once, throttled per account. E-mail is not an out-of-band factor in NIST's
//! sense; `docs/decisions/0004-one-time-codes.md` says what follows from that.

use std::fmt;
use std::pin::Pin;
use std::time::Duration;

use super::email::Email;
use crate::limits::{Limit, LimitReached};
use crate::random::Entropy;
use crate::store::BoxError;

/// How long a code is accepted.
pub const CODE_LIFETIME: Duration = Duration::from_mins(10);
/// How many wrong guesses invalidate a code.
pub const CODE_TRIES: u32 = 3;
/// How long to wait before asking for another code for the same address.
pub const RESEND_AFTER: Duration = Duration::from_secs(30);

/// Codes sent to one address, beside [`RESEND_AFTER`]. With three tries a code this leaves 60
/// guesses a day at one million: below NIST's 100 failures per account.
pub const CODES_PER_ADDRESS: [Limit; 3] =
    [Limit { count: 1, window: RESEND_AFTER }, Limit::per_hour(5), Limit::per_day(20)];
/// Codes requested from one source address; an office behind one NAT still fits.
pub const CODES_PER_SOURCE: [Limit; 1] = [Limit::per_hour(30)];
/// Codes sent in total: the last safeguard of the mail bill and the sender reputation.
pub const CODES_IN_TOTAL: [Limit; 1] = [Limit::per_minute(600)];
/// Guesses from one source address, over all addresses.
pub const GUESSES_PER_SOURCE: [Limit; 1] = [Limit::per_hour(60)];

/// Six decimal digits.
#[derive(Clone, PartialEq, Eq)]
pub struct Code(String);

/// The text is not six digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a code is six digits")]
pub struct MalformedCode;

impl Code {
    /// Draws a code, each of the million equally likely.
    pub fn draw(entropy: &Entropy) -> Self {
        Self(format!("{:06}", entropy.below(1_000_000)))
    }

    /// Accepts six ASCII digits; ignores white space, which is often copied along.
    pub fn parse(raw: &str) -> Result<Self, MalformedCode> {
        let digits: String = raw.chars().filter(|c| !c.is_ascii_whitespace()).collect();
        let well_formed = digits.len() == 6 && digits.bytes().all(|b| b.is_ascii_digit());
        if well_formed { Ok(Self(digits)) } else { Err(MalformedCode) }
    }

    /// The digits: for the mail and for hashing, never for a log.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Code(…)")
    }
}

/// The result of a guess.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Guess {
    /// Right: the code is used up.
    Right,
    /// Wrong; so many tries are left.
    Wrong {
        /// Tries left for this code; 0 means that it is invalidated.
        tries_left: u32,
    },
    /// No valid code: never requested, expired, used up, invalidated or replaced.
    NoCode,
}

/// The mail with a code.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LoginMail {
    /// The recipient.
    pub to: Email,
    /// The code.
    pub code: Code,
}

impl LoginMail {
    /// The subject; with the code, so that it can be read off a notification.
    pub fn subject(&self) -> String {
        format!("{} is your login code", self.code.as_str())
    }

    /// The body, plain text without links: nothing for phishing to imitate.
    pub fn text(&self) -> String {
        format!(
            "Your login code is {}\n\n\
             It works once, within {} minutes. If you did not ask for it, someone else typed your \
             address; without this code they get no further, and you can ignore this mail.\n",
            self.code.as_str(),
            CODE_LIFETIME.as_secs() / 60
        )
    }
}

/// Sends mails: through Amazon SES in production, into a readable mailbox in tests and development.
pub trait Mailer: Send + Sync {
    /// Hands `mail` over for delivery; it may still bounce later.
    fn send(
        &self,
        mail: LoginMail,
    ) -> Pin<Box<dyn Future<Output = Result<(), BoxError>> + Send + '_>>;
}

/// Why a login step failed.
#[derive(Debug, thiserror::Error)]
pub enum LoginError {
    /// The address cannot be written to.
    #[error(transparent)]
    Email(#[from] crate::identity::MalformedEmail),
    /// The code is not six digits.
    #[error(transparent)]
    MalformedCode(#[from] MalformedCode),
    /// Wrong code, more tries left.
    #[error("that code is wrong; {tries_left} tries left")]
    WrongCode {
        /// Tries left for this code, at least 1.
        tries_left: u32,
    },
    /// There is no valid code for this address.
    #[error("that code is no longer valid; ask for a new one")]
    CodeExpired,
    /// Too many codes or guesses.
    #[error(transparent)]
    Limited(#[from] LimitReached),
    /// The mail could not be handed over.
    #[error("the code could not be sent; try again in a minute")]
    MailFailed(#[source] BoxError),
    /// A store that login needs is unavailable.
    #[error("logging in is not possible right now; try again in a minute")]
    Unavailable(#[source] BoxError),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_code_keeps_its_leading_zeros() {
        let entropy = Entropy::new(|bytes| bytes.copy_from_slice(&42_u32.to_le_bytes()));
        assert_eq!(Code::draw(&entropy).as_str(), "000042");
    }

    #[test]
    fn a_pasted_code_is_parsed_without_its_spaces() {
        assert_eq!(Code::parse(" 123 456\n").unwrap().as_str(), "123456");
        for raw in ["", "12345", "1234567", "12345a", "١٢٣٤٥٦"] {
            assert_eq!(Code::parse(raw), Err(MalformedCode), "{raw}");
        }
    }

    #[test]
    fn guesses_per_address_stay_below_a_hundred_a_day() {
        let [_, _, per_day] = CODES_PER_ADDRESS;
        assert!(per_day.count * CODE_TRIES < 100);
    }
}
