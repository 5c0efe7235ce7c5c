//! Cursor of the list of turns: `<microseconds since 1970>.<answer's id>`.

use jiff::Timestamp;
use shared_core::account::AccountError;
use shared_core::ids::MessageId;
use shared_postgres::TurnCursor;

pub(super) fn of(place: &TurnCursor) -> String {
    format!("{}.{}", place.began_at.as_microsecond(), place.answer)
}

/// Rejects times before 1970: no turn began then, and Postgres's range of years begins later than jiff's.
pub(super) fn parse(raw: &str) -> Result<TurnCursor, AccountError> {
    let parsed = raw.split_once('.').and_then(|(micros, answer)| {
        let micros = micros.parse().ok().filter(|micros| *micros >= 0)?;
        Some(TurnCursor {
            began_at: Timestamp::from_microsecond(micros).ok()?,
            answer: MessageId::parse(answer).ok()?,
        })
    });
    parsed.ok_or(AccountError::MalformedCursor)
}
