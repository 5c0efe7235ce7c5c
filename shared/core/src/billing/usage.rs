//! Usage of a user's turns, as shown to the user.

use jiff::Timestamp;
use jiff::civil::Date;
use serde::Serialize;

/// Who paid for a turn.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum PaidBy {
    /// The platform, for credits.
    Credits,
    /// The user's own key.
    Byok,
}

impl PaidBy {
    /// Parses the database value.
    pub fn parse(word: &str) -> Option<Self> {
        match word {
            "credits" => Some(Self::Credits),
            "byok" => Some(Self::Byok),
            _ => None,
        }
    }
}

/// A turn's state in the ledger.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum TurnState {
    /// The turn is running; its cost is reserved.
    Open,
    /// The turn has ended, and was charged the reserved cost.
    Settled,
    /// The turn has no answer; the reserved cost was given back.
    Released,
}

impl TurnState {
    /// Parses the database value.
    pub fn parse(word: &str) -> Option<Self> {
        match word {
            "open" => Some(Self::Open),
            "settled" => Some(Self::Settled),
            "released" => Some(Self::Released),
            _ => None,
        }
    }
}

/// Usage of one day, one model and one payer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DayUsage {
    /// The day on which they began, in UTC.
    pub day: Date,
    /// The requested model.
    pub model: String,
    /// Who paid.
    pub paid_by: PaidBy,
    /// How many began, those without an answer included.
    pub turns: i64,
    /// Tokens of the prompts.
    pub prompt_tokens: i64,
    /// Tokens of the answers, reasoning included.
    pub completion_tokens: i64,
    /// Tokens of the answers that were reasoning.
    pub reasoning_tokens: i64,
    /// Tokens of the prompts read from the provider's cache.
    pub cached_tokens: i64,
    /// What the provider charged, as far as it is known, in billionths of a US dollar.
    pub cost_nano_usd: i64,
    /// Credits that were charged.
    pub credits: i64,
}

/// Usage of one turn.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TurnUsage {
    /// The answer's id.
    pub answer: String,
    /// The chat's id; the chat may be deleted.
    pub chat: String,
    /// The requested model.
    pub model: String,
    /// Who pays.
    pub paid_by: PaidBy,
    /// Its state.
    pub state: TurnState,
    /// Its credits: reserved, then settled; 0 once released.
    pub credits: i32,
    /// Tokens of the prompt, once they are known.
    pub prompt_tokens: Option<i32>,
    /// Tokens of the answer, once they are known.
    pub completion_tokens: Option<i32>,
    /// What the provider charged, if it is known, in billionths of a US dollar.
    pub cost_nano_usd: Option<i64>,
    /// When it began.
    pub began_at: Timestamp,
    /// When it ended, if it has.
    pub ended_at: Option<Timestamp>,
}
