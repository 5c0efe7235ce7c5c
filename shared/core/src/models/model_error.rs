//! Errors of models, independent of the provider.

use std::time::Duration;

/// Why a model did not answer, in terms of what the user can do.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ModelError {
    /// The account that pays for the model has no credit left.
    #[error("the account that pays for this model has no credit left")]
    OutOfCredit,
    /// BYOK: the user's own key is not valid (any more): its owner has deleted or disabled it.
    #[error("OpenRouter no longer accepts your key; replace it or remove it in the settings")]
    KeyRefused,
    /// BYOK: the user's own key has reached its limit, or its account is empty.
    #[error(
        "your OpenRouter key has nothing left to spend; top it up or raise its limit at openrouter.ai, or remove it in the settings"
    )]
    KeyExhausted,
    /// BYOK: `OpenRouter` rate-limits the account of the user's own key, whatever the model.
    #[error("OpenRouter limits how often your key may ask; try again in {} s", .retry_after.as_secs())]
    KeyBusy {
        /// When to try again.
        retry_after: Duration,
    },
    /// The provider's moderation refused the question.
    #[error("the model's provider refused this message{}", reasons_in_brackets(.reasons))]
    Refused {
        /// The provider's words, such as "violence"; may be empty.
        reasons: Vec<String>,
    },
    /// The provider timed out reading the request.
    #[error("the model's provider took too long to take the message; send it again")]
    RequestTimedOut,
    /// The conversation does not fit into the model.
    #[error(
        "this conversation is too long for the model; start a new chat or choose another model"
    )]
    TooLarge,
    /// Too many requests at the provider.
    #[error("this model is busy; try again in {} s", .retry_after.as_secs())]
    RateLimited {
        /// When to try again.
        retry_after: Duration,
    },
    /// The provider does not know the model (any more).
    #[error("this model is not available at its provider; choose another one")]
    UnknownModel,
    /// The model cannot see images.
    #[error("this model cannot read images; choose another model, or send text")]
    CannotReadImages,
    /// The provider is down or overloaded.
    #[error("this model is unavailable; try again in {} s or choose another one", .retry_after.as_secs())]
    Unavailable {
        /// When to try again.
        retry_after: Duration,
    },
    /// The provider failed: its response was invalid, or its connection broke.
    #[error("the model's provider failed; send the message again or choose another model")]
    Broken,
    /// The turn reached its time limit.
    #[error("the answer took too long; what the model said until then is kept")]
    OutOfTime,
    /// The model's stream was idle for too long.
    #[error("the model stopped answering; send the message again or choose another model")]
    IdleTimeout,
}

fn reasons_in_brackets(reasons: &[String]) -> String {
    if reasons.is_empty() { String::new() } else { format!(" ({})", reasons.join(", ")) }
}
