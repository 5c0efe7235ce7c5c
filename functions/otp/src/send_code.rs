//! Sends a one-time code. Reveals no account (user enumeration): this function does not know which exist.

use axum::extract::State;
use http::StatusCode;
use serde::{Deserialize, Serialize};
use shared_cache::{CacheError, Subject};
use shared_core::identity::{
    CODE_LIFETIME, CODES_IN_TOTAL, CODES_PER_ADDRESS, CODES_PER_SOURCE, Code, Email, LoginError,
    LoginMail, RESEND_AFTER,
};
use shared_core::limits::Limit;
use shared_http::{ApiError, ClientIp, ErrorBody, Json};
use utoipa::ToSchema;

use crate::Deps;

/// The request for a login code.
#[derive(Deserialize, ToSchema)]
pub(crate) struct OtpRequest {
    /// The address to send the code to.
    #[schema(example = "ada@example.com")]
    email: String,
}

/// The code was sent.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct OtpSent {
    /// Seconds until the code expires.
    expires_in: u64,
    /// Seconds until another code may be requested.
    retry_after: u64,
}

/// Send a login code
///
/// Sends a six-digit code to the address. Only the newest code is valid; it works once, within ten minutes,
/// and expires after three wrong guesses. The response is the same whether or not the address has an account.
#[utoipa::path(
    post, path = "/api/auth/otp", tag = "login", request_body = OtpRequest,
    responses(
        (status = 202, body = OtpSent),
        (status = 422, body = ErrorBody, description = "`invalid_email`"),
        (status = 429, body = ErrorBody, description = "`too_many_codes`, with `retry-after`"),
        (status = 502, body = ErrorBody, description = "`mail_failed`"),
        (status = 503, body = ErrorBody, description = "`login_unavailable`, with `retry-after`"),
    ),
    security()
)]
pub(crate) async fn send_code(
    State(deps): State<Deps>,
    ClientIp(source): ClientIp,
    Json(request): Json<OtpRequest>,
) -> Result<(StatusCode, Json<OtpSent>), ApiError> {
    let email = Email::parse(&request.email).map_err(LoginError::from)?;
    issue(&deps, Subject::Source(source), email).await?;
    let sent = OtpSent { expires_in: CODE_LIFETIME.as_secs(), retry_after: RESEND_AFTER.as_secs() };
    Ok((StatusCode::ACCEPTED, Json(sent)))
}

/// Checks the rate limits, stores the code and mails it. The source's limit comes first: a source over its
/// limit must not use up the codes of other users' addresses. The global limit comes last: no single source
/// can exhaust it.
async fn issue(deps: &Deps, source: Subject, email: Email) -> Result<(), LoginError> {
    take(deps, &source, &CODES_PER_SOURCE).await?;
    take(deps, &deps.codes.subject(&email), &CODES_PER_ADDRESS).await?;
    take(deps, &Subject::Global, &CODES_IN_TOTAL).await?;
    let code = Code::draw(deps.app.entropy());
    deps.codes.issue(&email, &code, deps.app.clock().now()).await.map_err(unavailable)?;
    deps.mailer.send(LoginMail { to: email, code }).await.map_err(LoginError::MailFailed)
}

async fn take(deps: &Deps, subject: &Subject, limits: &[Limit]) -> Result<(), LoginError> {
    let taken = deps.cache.acquire(subject, "codes", limits, deps.app.clock().now()).await;
    Ok(taken.map_err(unavailable)??)
}

fn unavailable(error: CacheError) -> LoginError {
    LoginError::Unavailable(error.into())
}
