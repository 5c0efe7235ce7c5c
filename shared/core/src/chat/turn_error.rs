//! The errors of a turn, by use case.

use crate::billing::{PaymentDenied, PlanId, Plans, TurnDenied, Upgrade};
use crate::ids::{MalformedId, MessageId};
use crate::limits::LimitReached;
use crate::models::{ModelError, ModelId, ModelPricing};
use crate::store::{BoxError, StoreError};
use crate::uploads::UploadError;

/// Why a request cannot be read as a turn.
#[derive(Debug, thiserror::Error)]
pub enum InvalidTurn {
    /// An id is not well formed.
    #[error("{field}: {source}")]
    MalformedId {
        /// The field that holds it.
        field: &'static str,
        /// Why.
        source: MalformedId,
    },
    /// There is no message in the request.
    #[error("send the question as `message`, or as the last of `messages`")]
    NoMessage,
    /// The last message is not the user's.
    #[error("the last message has to be the user's")]
    NotAQuestion,
    /// Nothing but white space.
    #[error("the message is empty")]
    EmptyQuestion,
    /// Too much text.
    #[error("the message is longer than {limit} bytes")]
    QuestionTooLong {
        /// The limit, in bytes of UTF-8.
        limit: usize,
    },
    /// A part that is neither text nor a file.
    #[error("a message can hold text and uploaded files, not a part of type {kind:?}")]
    UnsupportedPart {
        /// The part's type.
        kind: String,
    },
    /// A file that is somewhere else.
    #[error(
        "a file has to be uploaded first: POST /api/uploads, and name it here by its url, /api/uploads/<id>"
    )]
    ForeignFile,
    /// Too many files.
    #[error("a message can hold {limit} files")]
    TooManyFiles {
        /// The limit.
        limit: usize,
    },
    /// The model is not offered.
    #[error("there is no model {model:?} here; GET /api/models lists those there are")]
    UnknownModel {
        /// The requested model.
        model: String,
    },
}

/// The turn that a request names cannot be found.
#[derive(Debug, thiserror::Error)]
pub enum TurnLookupError {
    /// The user has no such chat.
    #[error("there is no such chat of yours")]
    ChatNotFound,
    /// The message is not in the chat.
    #[error("there is no such message in this chat")]
    MessageNotFound,
    /// Postgres failed.
    #[error("the chat cannot be reached right now; try again in a moment")]
    Store(#[from] StoreError),
}

/// Why a turn was not begun, or its question not sent to the model.
#[derive(Debug, thiserror::Error)]
pub enum SendError {
    /// The chat, or the message to edit or to regenerate, is not there; or Postgres failed, and no model was called.
    #[error(transparent)]
    Lookup(#[from] TurnLookupError),
    /// A message with this id is already stored.
    #[error("a message with this id has already been sent")]
    MessageExists,
    /// The chat's last turn is still running.
    #[error("an answer is still being written in this chat; wait for its end, or stop it")]
    Running {
        /// Its answer.
        answer: MessageId,
    },
    /// A file of the question is not there, or not usable yet.
    #[error(transparent)]
    Upload(#[from] UploadError),
    /// The question's files are too large together.
    #[error("the files of a message may have {} MiB together, as they are sent to a model; send fewer at once", .limit >> 20)]
    FilesTooLarge {
        /// The limit, in bytes.
        limit: u64,
    },
    /// The model cannot read a kind of file.
    #[error("the model {model} cannot read images; choose another model, or send text")]
    ModelCannotRead {
        /// The model.
        model: ModelId,
        /// Models of the user's plan that can.
        models: Vec<ModelId>,
    },
    /// The idempotency key was used for another question.
    #[error("this idempotency key was used for another question; draw a new one")]
    KeyReused,
    /// Too many turns.
    #[error("your plan allows {} turns a minute; try again in {} s", .0.limit.count, .0.retry_after.as_secs())]
    Limited(#[from] LimitReached),
    /// The user's plan does not allow it, or payment was denied.
    #[error(transparent)]
    Denied(#[from] TurnDenied),
    /// BYOK: the user's own key cannot be decrypted: encrypted for another user, or under a lost key.
    #[error("your key can no longer be read here; replace it or remove it in the settings")]
    KeyUnreadable(#[source] BoxError),
    /// The turn is a duplicate, and the first one's stream cannot be followed.
    #[error(transparent)]
    Resume(#[from] ResumeError),
    /// The model did not answer.
    #[error(transparent)]
    Model(#[from] ModelError),
}

impl From<StoreError> for SendError {
    fn from(error: StoreError) -> Self {
        Self::Lookup(error.into())
    }
}

/// Why a stream was not resumed, or why following it ended early.
#[derive(Debug, thiserror::Error)]
pub enum ResumeError {
    /// There is no such turn.
    #[error(transparent)]
    Lookup(#[from] TurnLookupError),
    /// Too many streams were resumed.
    #[error("you follow answers too often; try again in {} s", .0.retry_after.as_secs())]
    TooOften(LimitReached),
    /// The cache, which holds the live log of running turns, is unavailable; or the log has a gap.
    #[error("the answer cannot be followed right now; it is not lost, and will be in the chat")]
    Unavailable(#[source] BoxError),
}

/// Why a turn was not stopped.
#[derive(Debug, thiserror::Error)]
pub enum StopError {
    /// There is no such turn.
    #[error(transparent)]
    Lookup(#[from] TurnLookupError),
    /// The cache, through which running turns are stopped, is unavailable.
    #[error("the answer cannot be stopped right now; try again")]
    Unavailable(#[source] BoxError),
}

/// How an answer failed after its stream had begun.
#[derive(Debug, thiserror::Error)]
pub enum AnswerError {
    /// The turn was orphaned: its process is gone.
    #[error("the answer broke off on our side; what the model said until then is kept")]
    Interrupted,
    /// The answer is complete but could not be persisted.
    #[error("the answer could not be saved; copy it before you leave this page")]
    NotSaved,
}

impl PaymentDenied {
    /// Converts into an error with what the user can do about it.
    pub fn with_upgrade_hint(self, pricing: ModelPricing, plans: &Plans) -> SendError {
        let rules = |plan: &PlanId| plans.of(Some(plan));
        let denied = match self {
            Self::CreditsExhausted { plan, needed, allowances } => TurnDenied::CreditsExhausted {
                needed,
                allowances,
                upgrade: plans.after(&plan).map(Upgrade::to),
            },
            Self::ModelNotIncluded { .. } => TurnDenied::ModelNeedsPlan {
                upgrade: plans.first_with(pricing.tier).map(Upgrade::to),
            },
            Self::ChatFull { plan } => {
                let turns = rules(&plan).chat_turns.get();
                let upgrade = plans.all().find(|other| other.chat_turns.get() > turns);
                TurnDenied::ChatFull { turns, upgrade: upgrade.map(Upgrade::to) }
            }
            Self::MessageTooLong { plan } => {
                let limit = rules(&plan).message_bytes.get();
                let upgrade = plans.all().find(|other| other.message_bytes.get() > limit);
                TurnDenied::MessageTooLong { limit, upgrade: upgrade.map(Upgrade::to) }
            }
            Self::KeyRefused => return ModelError::KeyRefused.into(),
            Self::CapReached { cap_nano_usd, resets_at } => {
                TurnDenied::CapReached { cap_nano_usd, resets_at }
            }
        };
        denied.into()
    }
}
