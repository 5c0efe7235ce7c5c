//! From what went wrong to what a client is told. Internals are logged here, once, and never sent.

use std::time::Duration;

use axum::response::{IntoResponse, Response};
use http::{HeaderValue, StatusCode, header};
use serde::Serialize;
use serde_json::{Value, json};
use shared_core::account::AccountError;
use shared_core::answer::ModelFailure;
use shared_core::catalogue::CatalogueError;
use shared_core::limits::LimitReached;
use shared_core::login::LoginError;
use shared_core::session::SessionError;
use shared_core::turn::TurnError;
use utoipa::ToSchema;

use crate::ErrorCode;

/// When a store is away, a client that asks again at once only adds to its trouble.
const STORE_RETRY: Duration = Duration::from_secs(5);

/// An error on its way to a client.
#[derive(Debug)]
pub struct ApiError {
    code: ErrorCode,
    message: String,
    details: Option<Value>,
    retry_after: Option<Duration>,
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
    /// An error with a code and words for people.
    pub fn new(code: ErrorCode, message: impl std::fmt::Display) -> Self {
        Self { code, message: message.to_string(), details: None, retry_after: None }
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

    fn with_details(mut self, details: Value) -> Self {
        self.details = Some(details);
        self
    }

    fn retry_after(mut self, after: Duration) -> Self {
        self.retry_after = Some(after);
        self
    }

    fn limited(code: ErrorCode, limit: &LimitReached) -> Self {
        Self::new(code, limit).retry_after(limit.retry_after)
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let status =
            StatusCode::from_u16(self.code.status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let mut response =
            (status, [(header::CONTENT_TYPE, "application/json")], self.to_json()).into_response();
        if let Some(after) = self.retry_after {
            response.headers_mut().insert(header::RETRY_AFTER, after.as_secs().max(1).into());
        }
        if status == StatusCode::CONFLICT {
            // OpenAI's and the AI SDK's clients retry on 409 unless they are told not to.
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
            LoginError::Limited(limit) => Self::limited(ErrorCode::TooManyCodes, limit),
            LoginError::MailFailed(source) => {
                tracing::error!(%source, "a login mail could not be handed over");
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
            AccountError::MalformedCursor => Self::new(ErrorCode::InvalidCursor, &error),
            AccountError::Session(session) => Self::from(*session),
            AccountError::Unavailable(source) => {
                tracing::error!(%source, "an account cannot be reached");
                Self::new(ErrorCode::Unavailable, &error).retry_after(STORE_RETRY)
            }
        }
    }
}

impl From<CatalogueError> for ApiError {
    fn from(error: CatalogueError) -> Self {
        tracing::error!(source = %error.0, "the list of models cannot be fetched");
        Self::new(ErrorCode::ModelsUnavailable, error).retry_after(STORE_RETRY)
    }
}

impl From<TurnError> for ApiError {
    fn from(error: TurnError) -> Self {
        match &error {
            TurnError::MalformedId { .. } => Self::new(ErrorCode::InvalidId, &error),
            TurnError::NoMessage
            | TurnError::NotAQuestion
            | TurnError::EmptyQuestion
            | TurnError::UnsupportedPart { .. } => Self::new(ErrorCode::InvalidMessage, &error),
            TurnError::QuestionTooLong { limit } => Self::new(ErrorCode::MessageTooLong, &error)
                .with_details(json!({ "limitBytes": limit })),
            TurnError::UnknownModel { .. } => Self::new(ErrorCode::ModelUnknown, &error),
            TurnError::ChatNotFound => Self::new(ErrorCode::ChatNotFound, &error),
            TurnError::MessageNotFound => Self::new(ErrorCode::MessageNotFound, &error),
            TurnError::MessageExists => Self::new(ErrorCode::MessageExists, &error),
            TurnError::Session(session) => Self::from(*session),
            TurnError::Limited(limit) => Self::limited(ErrorCode::TooManyTurns, limit),
            TurnError::Unavailable(source) => {
                tracing::error!(%source, "a turn could not begin");
                Self::new(ErrorCode::Unavailable, &error).retry_after(STORE_RETRY)
            }
            TurnError::Model(failure) => Self::from(failure.clone()),
            TurnError::NotSaved => Self::new(ErrorCode::AnswerNotSaved, &error),
        }
    }
}

impl From<ModelFailure> for ApiError {
    fn from(failure: ModelFailure) -> Self {
        match &failure {
            ModelFailure::OutOfCredit => Self::new(ErrorCode::ModelOutOfCredit, &failure),
            ModelFailure::Refused { reasons } => Self::new(ErrorCode::ModelRefused, &failure)
                .with_details(json!({ "reasons": reasons })),
            ModelFailure::RequestTimedOut => Self::new(ErrorCode::ModelRequestTimedOut, &failure),
            ModelFailure::TooLarge => Self::new(ErrorCode::ConversationTooLong, &failure),
            ModelFailure::RateLimited { retry_after } => {
                Self::new(ErrorCode::ModelBusy, &failure).retry_after(*retry_after)
            }
            ModelFailure::UnknownModel => Self::new(ErrorCode::ModelUnknown, &failure),
            ModelFailure::Unavailable { retry_after } => {
                Self::new(ErrorCode::ModelUnavailable, &failure).retry_after(*retry_after)
            }
            ModelFailure::Broken => Self::new(ErrorCode::ModelFailed, &failure),
            ModelFailure::Silent => Self::new(ErrorCode::ModelTimedOut, &failure),
        }
    }
}
