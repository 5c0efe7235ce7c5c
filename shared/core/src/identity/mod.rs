//! Users, their sessions, and the one-time codes that open them.

mod account;
mod email;
mod login;
mod session;

pub use account::{AccountError, DisplayName, LONGEST_NAME, SessionSummary, User};
pub use email::{Email, MalformedEmail};
pub use login::{
    CODE_LIFETIME, CODE_TRIES, CODES_IN_TOTAL, CODES_PER_ADDRESS, CODES_PER_SOURCE, Code,
    GUESSES_PER_SOURCE, Guess, LoginError, LoginMail, Mailer, MalformedCode, RESEND_AFTER,
};
pub use session::{ABSOLUTE_LIFETIME, Session, SessionError};
