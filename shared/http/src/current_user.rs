//! The user of a request.

use axum::extract::{FromRef, FromRequestParts};
use http::request::Parts;
use shared_core::identity::{Session, SessionError};

use crate::cookie::session_token;
use crate::{ApiError, AppContext, Tokens};

/// The session of a request with a valid token. Postgres checks whether it was logged out since, at the
/// start of the first transaction.
#[derive(Clone, Copy, Debug)]
pub struct CurrentUser(pub Session);

impl<S: Send + Sync> FromRequestParts<S> for CurrentUser
where
    AppContext: FromRef<S>,
    Tokens: FromRef<S>,
{
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        let token = session_token(&parts.headers).ok_or(SessionError::Missing)?;
        let now = AppContext::from_ref(state).clock().now();
        Ok(Self(Tokens::from_ref(state).verify(token, now)?))
    }
}
