//! Selects the turn of a chat that a request is about.

use axum::extract::{FromRequestParts, Path, Query};
use http::request::Parts;
use serde::Deserialize;
use shared_core::chat::{InvalidTurn, TurnLookupError};
use shared_core::identity::Session;
use shared_core::ids::{ChatId, MalformedId, MessageId};
use shared_http::{ApiError, ErrorCode};
use shared_postgres::{TurnLookup, TurnRef};
use utoipa::IntoParams;

use crate::Deps;

/// The header in which a browser's `EventSource` sends the id of its last frame.
const LAST_EVENT_ID: &str = "last-event-id";

/// The turn, and the frame to resume after.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct TurnQuery {
    /// The answer's id; the chat's newest answer if left out.
    message: Option<String>,
    /// The `id` of the last frame that the client has; the header `last-event-id` is an alternative.
    #[param(value_type = Option<u64>)]
    after: Option<String>,
}

/// The turn that a request selects.
pub(crate) struct TurnSelector {
    pub(crate) chat: ChatId,
    pub(crate) message: Option<MessageId>,
    /// The last frame that the client has, if it resumes.
    pub(crate) after: Option<u64>,
}

impl<S: Send + Sync> FromRequestParts<S> for TurnSelector {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        let malformed = |field| move |source| InvalidTurn::MalformedId { field, source };
        let chat = Path::<String>::from_request_parts(parts, state).await;
        let Path(chat) = chat.map_err(|_| malformed("id")(MalformedId))?;
        let chat = ChatId::parse(&chat).map_err(malformed("id"))?;
        let query = Query::<TurnQuery>::from_request_parts(parts, state).await;
        let Query(query) =
            query.map_err(|error| ApiError::new(ErrorCode::InvalidRequest, error.body_text()))?;
        let message = query.message.as_deref().map(MessageId::parse).transpose();
        let message = message.map_err(malformed("message"))?;
        let header = parts.headers.get(LAST_EVENT_ID).and_then(|value| value.to_str().ok());
        let after = query.after.as_deref().or(header.filter(|value| !value.is_empty()));
        let after = after.map(str::parse).transpose().map_err(|_| {
            let why = "`after` and `last-event-id` are the number of a frame";
            ApiError::new(ErrorCode::InvalidRequest, why)
        })?;
        Ok(Self { chat, message, after })
    }
}

impl TurnSelector {
    /// Returns the selected turn, or `None` if the chat has no turn yet. An unknown `message` is an error.
    pub(crate) async fn find(
        &self,
        deps: &Deps,
        session: &Session,
    ) -> Result<Option<TurnRef>, TurnLookupError> {
        let database = deps.database.request(session, deps.app.clock().now());
        match (database.turn_of(&self.chat, self.message.as_ref()).await?, &self.message) {
            (TurnLookup::Turn(turn), _) => Ok(Some(turn)),
            (TurnLookup::NoTurn, None) => Ok(None),
            (TurnLookup::NoTurn, Some(_)) => Err(TurnLookupError::MessageNotFound),
            (TurnLookup::NoChat, _) => Err(TurnLookupError::ChatNotFound),
        }
    }
}
