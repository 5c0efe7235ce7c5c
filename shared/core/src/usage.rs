//! What a user's turns took, as they are shown to them.

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
    /// From the word in the database.
    pub fn parse(word: &str) -> Option<Self> {
        match word {
            "credits" => Some(Self::Credits),
            "byok" => Some(Self::Byok),
            _ => None,
        }
    }
}

/// How far a turn has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum TurnState {
    /// The model has not ended; what the turn costs is reserved.
    Open,
    /// It has ended, and costs what was reserved.
    Settled,
    /// The model said nothing; what was reserved is given back.
    Released,
}

impl TurnState {
    /// From the word in the database.
    pub fn parse(word: &str) -> Option<Self> {
        match word {
            "open" => Some(Self::Open),
            "settled" => Some(Self::Settled),
            "released" => Some(Self::Released),
            _ => None,
        }
    }
}

/// What the turns of one day, one model and one payer took.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DayUsage {
    /// The day on which they began, in UTC.
    pub day: Date,
    /// The model that was asked.
    pub model: String,
    /// Who paid.
    pub paid_by: PaidBy,
    /// How many began, those that came to nothing included.
    pub turns: i64,
    /// Tokens of the prompts.
    pub prompt_tokens: i64,
    /// Tokens of the answers, reasoning included.
    pub completion_tokens: i64,
    /// Tokens of the answers that were reasoning.
    pub reasoning_tokens: i64,
    /// Tokens of the prompts that the provider had cached.
    pub cached_tokens: i64,
    /// What the provider charged, as far as it said, in billionths of a US dollar.
    pub cost_nano_usd: i64,
    /// Credits that were charged.
    pub credits: i64,
}

/// What one turn took.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TurnUsage {
    /// The answer's id.
    pub answer: String,
    /// The chat's id; the chat may be deleted.
    pub chat: String,
    /// The model that was asked.
    pub model: String,
    /// Who pays.
    pub paid_by: PaidBy,
    /// How far it has come.
    pub state: TurnState,
    /// Credits that it costs: reserved, then charged, or none if they were given back.
    pub credits: i32,
    /// Tokens of the prompt, once they are known.
    pub prompt_tokens: Option<i32>,
    /// Tokens of the answer, once they are known.
    pub completion_tokens: Option<i32>,
    /// What the provider charged, if it said so, in billionths of a US dollar.
    pub cost_nano_usd: Option<i64>,
    /// When it began.
    pub began_at: Timestamp,
    /// When it ended, if it has.
    pub ended_at: Option<Timestamp>,
}
