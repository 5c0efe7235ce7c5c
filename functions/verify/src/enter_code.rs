//! Checks a code, creates the user on their first login, and opens a session.

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::{HeaderMap, header};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use shared_cache::Subject;
use shared_core::identity::{
    ABSOLUTE_LIFETIME, Code, Email, GUESSES_PER_SOURCE, Guess, LoginError, Session, User,
};
use shared_core::ids::{SessionId, UserId};
use shared_core::store::BoxError;
use shared_http::{ApiError, ClientIp, ErrorBody, ErrorCode, Json, UserBody, session_cookie};
use shared_postgres::NewSession;
use utoipa::ToSchema;

use crate::Deps;

/// A code and the address that it was sent to.
#[derive(Deserialize, ToSchema)]
pub(crate) struct VerifyRequest {
    /// The address.
    #[schema(example = "ada@example.com")]
    email: String,
    /// The six digits.
    #[schema(example = "123456")]
    code: String,
}

/// The login's result.
#[derive(Serialize, ToSchema)]
pub(crate) struct Verified {
    /// The user who is now logged in.
    user: UserBody,
}

/// Log in with a code
///
/// Sets the session cookie `__Host-session` (`HttpOnly`, `Secure`, `SameSite=Lax`), which is valid for
/// 30 days, or for 7 without use. The first login of an address creates its account.
#[utoipa::path(
    post, path = "/api/auth/verify", tag = "login", request_body = VerifyRequest,
    responses(
        (status = 200, body = Verified, headers(("set-cookie" = String, description = "the session cookie"))),
        (status = 401, body = ErrorBody, description = "`code_wrong` or `code_expired`"),
        (status = 422, body = ErrorBody, description = "`invalid_email` or `invalid_code`"),
        (status = 429, body = ErrorBody, description = "`too_many_codes`, with `retry-after`"),
        (status = 503, body = ErrorBody, description = "`login_unavailable`, with `retry-after`"),
    ),
    security()
)]
pub(crate) async fn enter_code(
    State(deps): State<Deps>,
    ClientIp(source): ClientIp,
    headers: HeaderMap,
    Json(request): Json<VerifyRequest>,
) -> Result<Response, ApiError> {
    let email = Email::parse(&request.email).map_err(LoginError::from)?;
    let code = Code::parse(&request.code).map_err(LoginError::from)?;
    let now = deps.app.clock().now();
    check(&deps, &Subject::Source(source), &email, &code, now).await?;

    let user_agent = headers.get(header::USER_AGENT).and_then(|agent| agent.to_str().ok());
    let signed_in = sign_in(&deps, &email, user_agent, now).await;
    if signed_in.is_err() {
        // The right code is used up; issue it again, for the user's retry in a minute.
        deps.codes.issue(&email, &code, now).await.map_err(unavailable)?;
    }
    let (user, session) = signed_in?;
    let no_key = || ApiError::new(ErrorCode::Internal, "the session could not be signed");
    let token = deps.tokens.sign(&session, now).ok_or_else(no_key)?;
    let body = Json(Verified { user: user.into() });
    Ok(([(header::SET_COOKIE, session_cookie(&token))], body).into_response())
}

async fn check(
    deps: &Deps,
    source: &Subject,
    email: &Email,
    code: &Code,
    now: Timestamp,
) -> Result<(), LoginError> {
    let taken = deps.cache.acquire(source, "guesses", &GUESSES_PER_SOURCE, now).await;
    taken.map_err(unavailable)??;
    match deps.codes.guess(email, code, now).await.map_err(unavailable)? {
        Guess::Right => Ok(()),
        Guess::NoCode | Guess::Wrong { tries_left: 0 } => Err(LoginError::CodeExpired),
        Guess::Wrong { tries_left } => Err(LoginError::WrongCode { tries_left }),
    }
}

async fn sign_in(
    deps: &Deps,
    email: &Email,
    user_agent: Option<&str>,
    now: Timestamp,
) -> Result<(User, Session), LoginError> {
    let entropy = deps.app.entropy();
    let session = NewSession {
        id: SessionId(entropy.uuid(now)),
        user_if_new: UserId(entropy.uuid(now)),
        user_agent: user_agent.map(str::to_owned),
        expires_at: now + ABSOLUTE_LIFETIME,
    };
    let user = deps.database.sign_in(email, &session, now).await.map_err(unavailable)?;
    let session = Session { user: user.id, id: session.id, expires_at: session.expires_at };
    Ok((user, session))
}

fn unavailable(error: impl Into<BoxError>) -> LoginError {
    LoginError::Unavailable(error.into())
}
