//! Maps errors to API responses. Internal causes are logged here, once, and never sent.

use std::time::Duration;

use axum::response::{IntoResponse, Response};
use http::{HeaderValue, StatusCode, header};
use serde::Serialize;
use serde_json::{Value, json};
use shared_core::billing::{TurnDenied, UPGRADE_PATH, Upgrade, usd};
use shared_core::chat::{
    AnswerError, InvalidTurn, ResumeError, SendError, StopError, TurnLookupError,
};
use shared_core::idempotency_key::MalformedIdempotencyKey;
use shared_core::identity::{AccountError, LoginError, SessionError};
use shared_core::limits::LimitReached;
use shared_core::models::{CatalogueError, ModelError};
use shared_core::store::StoreError;
use utoipa::ToSchema;

use crate::{ErrorCode, RateLimitHeaders};

/// `retry-after` while a store is away: an immediate retry would only add to its load.
pub(crate) const STORE_RETRY: Duration = Duration::from_secs(5);

/// An error response.
#[derive(Debug)]
pub struct ApiError {
    code: ErrorCode,
    message: String,
    details: Option<Value>,
    retry_after: Option<Duration>,
    rate_limit: Option<RateLimitHeaders>,
}

/// The body of every error response, and the `errorText` of a stream that breaks off.
#[derive(Debug, Serialize, ToSchema)]
pub struct ErrorBody {
    /// The error.
    pub error: ErrorDetail,
}

/// What went wrong.
#[derive(Debug, Serialize, ToSchema)]
pub struct ErrorDetail {
    /// For programs.
    pub code: ErrorCode,
    /// For people.
    pub message: String,
    /// More for programs, where the code's documentation says so.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Object>)]
    pub details: Option<Value>,
}

impl ApiError {
    /// Creates an error with a code and a message for people.
    pub fn new(code: ErrorCode, message: impl std::fmt::Display) -> Self {
        Self {
            code,
            message: message.to_string(),
            details: None,
            retry_after: None,
            rate_limit: None,
        }
    }

    /// The code.
    pub fn code(&self) -> ErrorCode {
        self.code
    }

    /// The JSON of [`ErrorBody`].
    pub fn to_json(&self) -> String {
        let detail = ErrorDetail {
            code: self.code,
            message: self.message.clone(),
            details: self.details.clone(),
        };
        serde_json::to_string(&ErrorBody { error: detail }).unwrap_or_default()
    }

    pub(crate) fn with_details(mut self, details: Value) -> Self {
        self.details = Some(details);
        self
    }

    pub(crate) fn retry_after(mut self, after: Duration) -> Self {
        self.retry_after = Some(after);
        self
    }

    /// A rate limit of a signed-in user, who may see its state.
    pub(crate) fn limited(code: ErrorCode, reached: LimitReached) -> Self {
        let rate_limit = Some(reached.into());
        Self { rate_limit, ..Self::new(code, reached).retry_after(reached.retry_after) }
    }
}

impl ApiError {
    /// A store is unavailable: `unavailable`, with `retry-after`.
    pub fn unavailable(message: impl std::fmt::Display) -> Self {
        Self::new(ErrorCode::Unavailable, message).retry_after(STORE_RETRY)
    }

    /// What a store's failure means in a use case: the log names `what` it was about, and `error` is for the user.
    pub(crate) fn of_store(store: &StoreError, what: &str, error: &impl std::fmt::Display) -> Self {
        match store {
            StoreError::SessionEnded => SessionError::Ended.into(),
            StoreError::Unavailable(source) => {
                tracing::error!(%source, "{what} cannot be reached");
                Self::unavailable(error)
            }
        }
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let status =
            StatusCode::from_u16(self.code.status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let mut response =
            (status, [(header::CONTENT_TYPE, "application/json")], self.rate_limit, self.to_json())
                .into_response();
        if let Some(after) = self.retry_after {
            response.headers_mut().insert(header::RETRY_AFTER, after.as_secs().max(1).into());
        }
        if status == StatusCode::CONFLICT {
            // OpenAI's and the AI SDK's clients retry on 409 unless this header forbids it.
            response.headers_mut().insert("x-should-retry", HeaderValue::from_static("false"));
        }
        response
    }
}

impl From<LoginError> for ApiError {
    fn from(error: LoginError) -> Self {
        match &error {
            LoginError::Email(_) => Self::new(ErrorCode::InvalidEmail, &error),
            LoginError::MalformedCode(_) => Self::new(ErrorCode::InvalidCode, &error),
            LoginError::WrongCode { tries_left } => Self::new(ErrorCode::CodeWrong, &error)
                .with_details(json!({ "triesLeft": tries_left })),
            LoginError::CodeExpired => Self::new(ErrorCode::CodeExpired, &error),
            // Which of the limits it was would reveal how often others requested codes for this address.
            LoginError::Limited(limit) => {
                Self::new(ErrorCode::TooManyCodes, &error).retry_after(limit.retry_after)
            }
            LoginError::MailFailed(source) => {
                tracing::error!(%source, "a login mail could not be sent");
                Self::new(ErrorCode::MailFailed, &error)
            }
            LoginError::Unavailable(source) => {
                tracing::error!(%source, "login is unavailable");
                Self::new(ErrorCode::LoginUnavailable, &error).retry_after(STORE_RETRY)
            }
        }
    }
}

impl From<SessionError> for ApiError {
    fn from(error: SessionError) -> Self {
        match error {
            SessionError::Missing => Self::new(ErrorCode::Unauthenticated, error),
            SessionError::Ended => Self::new(ErrorCode::SessionEnded, error),
        }
    }
}

impl From<AccountError> for ApiError {
    fn from(error: AccountError) -> Self {
        match &error {
            AccountError::MalformedName => Self::new(ErrorCode::InvalidName, &error),
            AccountError::Store(store) => Self::of_store(store, "an account", &error),
        }
    }
}

impl From<CatalogueError> for ApiError {
    fn from(error: CatalogueError) -> Self {
        tracing::error!(source = %error.0, "the list of models cannot be fetched");
        Self::new(ErrorCode::ModelsUnavailable, error).retry_after(STORE_RETRY)
    }
}

impl From<MalformedIdempotencyKey> for ApiError {
    fn from(error: MalformedIdempotencyKey) -> Self {
        Self::new(ErrorCode::InvalidIdempotencyKey, error)
    }
}

impl From<InvalidTurn> for ApiError {
    fn from(error: InvalidTurn) -> Self {
        match &error {
            InvalidTurn::MalformedId { .. } => Self::new(ErrorCode::InvalidId, &error),
            InvalidTurn::NoMessage
            | InvalidTurn::NotAQuestion
            | InvalidTurn::EmptyQuestion
            | InvalidTurn::UnsupportedPart { .. }
            | InvalidTurn::ForeignFile
            | InvalidTurn::TooManyFiles { .. } => Self::new(ErrorCode::InvalidMessage, &error),
            InvalidTurn::QuestionTooLong { limit } => Self::new(ErrorCode::MessageTooLong, &error)
                .with_details(json!({ "limitBytes": limit })),
            InvalidTurn::UnknownModel { .. } => Self::new(ErrorCode::ModelUnknown, &error),
        }
    }
}

impl From<TurnLookupError> for ApiError {
    fn from(error: TurnLookupError) -> Self {
        match &error {
            TurnLookupError::ChatNotFound => Self::new(ErrorCode::ChatNotFound, &error),
            TurnLookupError::MessageNotFound => Self::new(ErrorCode::MessageNotFound, &error),
            TurnLookupError::Store(store) => Self::of_store(store, "the chat", &error),
        }
    }
}

impl From<SendError> for ApiError {
    fn from(error: SendError) -> Self {
        let message = error.to_string();
        match error {
            SendError::Lookup(error) => error.into(),
            SendError::MessageExists => Self::new(ErrorCode::MessageExists, message),
            SendError::Running { answer } => Self::new(ErrorCode::TurnRunning, message)
                .with_details(json!({ "messageId": answer })),
            SendError::Upload(error) => error.into(),
            SendError::FilesTooLarge { limit } => Self::new(ErrorCode::FilesTooLarge, message)
                .with_details(json!({ "limitMib": limit >> 20 })),
            SendError::ModelCannotRead { model, models } => {
                Self::new(ErrorCode::ModelCannotRead, message)
                    .with_details(json!({ "model": model, "kind": "image", "models": models }))
            }
            SendError::KeyReused => Self::new(ErrorCode::IdempotencyKeyReused, message),
            SendError::Limited(reached) => Self::limited(ErrorCode::TooManyTurns, reached),
            SendError::Denied(denied) => Self::from(&denied),
            SendError::KeyUnreadable(source) => {
                tracing::error!(%source, "a user's own key (BYOK) cannot be decrypted");
                Self::new(ErrorCode::KeyUnreadable, message)
            }
            SendError::Resume(error) => error.into(),
            SendError::Model(error) => error.into(),
        }
    }
}

impl From<ResumeError> for ApiError {
    fn from(error: ResumeError) -> Self {
        let message = error.to_string();
        match error {
            ResumeError::Lookup(error) => error.into(),
            ResumeError::TooOften(reached) => Self::limited(ErrorCode::TooManyFollows, reached),
            ResumeError::Unavailable(source) => {
                tracing::error!(%source, "a stream cannot be resumed");
                Self::new(ErrorCode::ResumeUnavailable, message).retry_after(STORE_RETRY)
            }
        }
    }
}

impl From<StopError> for ApiError {
    fn from(error: StopError) -> Self {
        let message = error.to_string();
        match error {
            StopError::Lookup(error) => error.into(),
            StopError::Unavailable(source) => {
                tracing::error!(%source, "an answer cannot be stopped");
                Self::new(ErrorCode::StopUnavailable, message).retry_after(STORE_RETRY)
            }
        }
    }
}

impl From<AnswerError> for ApiError {
    fn from(error: AnswerError) -> Self {
        let code = match error {
            AnswerError::Interrupted => ErrorCode::AnswerInterrupted,
            AnswerError::NotSaved => ErrorCode::AnswerNotSaved,
        };
        Self::new(code, error)
    }
}

/// An upgrade, in `details`.
pub(crate) fn upgrade_json(upgrade: Option<&Upgrade>) -> Option<Value> {
    upgrade.map(|to| json!({ "plan": to.plan, "name": to.name, "at": UPGRADE_PATH }))
}

impl From<&TurnDenied> for ApiError {
    fn from(denied: &TurnDenied) -> Self {
        let upgrade = |upgrade: &Option<Upgrade>| upgrade_json(upgrade.as_ref());
        let (code, details) = match denied {
            TurnDenied::CreditsExhausted { needed, allowances, upgrade: to } => (
                ErrorCode::CreditsExhausted,
                json!({
                    "needed": needed, "allowances": allowances, "upgrade": upgrade(to),
                    "byokAllowed": true,
                }),
            ),
            TurnDenied::ModelNeedsPlan { upgrade: to } => (
                ErrorCode::ModelNeedsPremium,
                json!({ "upgrade": upgrade(to), "byokAllowed": true }),
            ),
            TurnDenied::ChatFull { turns, upgrade: to } => {
                (ErrorCode::ChatFull, json!({ "limitTurns": turns, "upgrade": upgrade(to) }))
            }
            TurnDenied::MessageTooLong { limit, upgrade: to } => {
                (ErrorCode::MessageTooLong, json!({ "limitBytes": limit, "upgrade": upgrade(to) }))
            }
            TurnDenied::ContextTooLarge { tokens, limit, upgrade: to } => (
                ErrorCode::ContextTooLarge,
                json!({ "tokens": tokens, "limitTokens": limit, "upgrade": upgrade(to) }),
            ),
            TurnDenied::CapReached { cap_nano_usd, resets_at } => (
                ErrorCode::KeyCapReached,
                json!({ "monthlyCapUsd": usd(*cap_nano_usd), "resetsAt": resets_at }),
            ),
        };
        Self::new(code, denied).with_details(details)
    }
}

impl From<ModelError> for ApiError {
    fn from(failure: ModelError) -> Self {
        match &failure {
            ModelError::OutOfCredit => Self::new(ErrorCode::ModelOutOfCredit, &failure),
            ModelError::KeyRefused => Self::new(ErrorCode::KeyRefused, &failure),
            ModelError::KeyExhausted => Self::new(ErrorCode::KeyExhausted, &failure),
            ModelError::KeyBusy { retry_after } => {
                Self::new(ErrorCode::KeyBusy, &failure).retry_after(*retry_after)
            }
            ModelError::Refused { reasons } => Self::new(ErrorCode::ModelRefused, &failure)
                .with_details(json!({ "reasons": reasons })),
            ModelError::RequestTimedOut => Self::new(ErrorCode::ModelRequestTimedOut, &failure),
            ModelError::TooLarge => Self::new(ErrorCode::ConversationTooLong, &failure),
            ModelError::RateLimited { retry_after } => {
                Self::new(ErrorCode::ModelBusy, &failure).retry_after(*retry_after)
            }
            ModelError::CannotReadImages => Self::new(ErrorCode::ModelCannotRead, &failure),
            ModelError::UnknownModel => Self::new(ErrorCode::ModelUnknown, &failure),
            ModelError::Unavailable { retry_after } => {
                Self::new(ErrorCode::ModelUnavailable, &failure).retry_after(*retry_after)
            }
            ModelError::Broken => Self::new(ErrorCode::ModelFailed, &failure),
            ModelError::IdleTimeout | ModelError::OutOfTime => {
                Self::new(ErrorCode::ModelTimedOut, &failure)
            }
        }
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    pub(crate) const IN_7_S: Duration = Duration::from_secs(7);

    /// Code, status and `retry-after` of the response.
    pub(crate) fn response(error: impl Into<ApiError>) -> (&'static str, u16, Option<String>) {
        let error = error.into();
        let code = error.code().as_str();
        assert!(!error.to_json().contains("10.0.0.7"), "{}", error.to_json());
        let response = error.into_response();
        let retry_after = response.headers().get(header::RETRY_AFTER);
        let retry_after = retry_after.map(|value| value.to_str().unwrap().to_owned());
        (code, response.status().as_u16(), retry_after)
    }

    #[test]
    fn a_byok_turn_returns_what_is_wrong_with_the_key() {
        for (failure, code, status, retry_after) in [
            (ModelError::KeyRefused, "key_refused", 403, None),
            (ModelError::KeyExhausted, "key_exhausted", 402, None),
            (ModelError::KeyBusy { retry_after: IN_7_S }, "key_busy", 429, Some("7")),
        ] {
            assert_eq!(response(failure), (code, status, retry_after.map(str::to_owned)));
        }
    }
}
