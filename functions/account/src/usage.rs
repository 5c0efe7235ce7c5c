//! The user's allowances, limits and usage.

mod body;
mod cursor;

use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use serde::Deserialize;
use shared_core::account::AccountError;
use shared_http::{ApiError, CurrentUser, ErrorBody, ErrorCode, Json};
use shared_postgres::UsageQuery;
use utoipa::IntoParams;

use crate::Deps;
use body::UsageBody;

/// Default number of days.
const DAYS: u32 = 30;
/// Maximum number of days.
const MOST_DAYS: u32 = 90;
/// Default number of turns per page.
const PAGE: u32 = 20;
/// Maximum number of turns per page.
const LARGEST_PAGE: u32 = 100;

/// Range of the report. Numbers are parsed by [`within`], whose error messages users understand; serde's are not
/// written for them.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct PastQuery {
    /// Number of days (UTC), today included, 1 to 90; 30 by default.
    #[param(value_type = Option<u32>)]
    days: Option<String>,
    /// Turns per page, 1 to 100; 20 by default.
    #[param(value_type = Option<u32>)]
    limit: Option<String>,
    /// The `turns.nextCursor` of the previous page.
    cursor: Option<String>,
}

impl PastQuery {
    fn parse(self) -> Result<UsageQuery, ApiError> {
        let turns = within("limit", self.limit.as_deref(), PAGE, LARGEST_PAGE)?;
        Ok(UsageQuery {
            days: within("days", self.days.as_deref(), DAYS, MOST_DAYS)?,
            turns: usize::try_from(turns).unwrap_or(usize::MAX),
            after: self.cursor.as_deref().map(cursor::parse).transpose()?,
        })
    }
}

/// Rejects a number out of range rather than clamping it: a sum over fewer days than requested is wrong.
fn within(field: &str, asked: Option<&str>, usual: u32, most: u32) -> Result<u32, ApiError> {
    let Some(asked) = asked else { return Ok(usual) };
    let count = asked.parse().ok().filter(|count| (1..=most).contains(count));
    count.ok_or_else(|| {
        ApiError::new(ErrorCode::InvalidRequest, format!("{field}: from 1 to {most}"))
    })
}

/// Allowances, limits and usage
///
/// The current plan, credits, limits and the user's own key (BYOK); usage of the last days, per model and
/// payer; and the last turns, page by page. Days are in UTC. Deleted chats still count.
#[utoipa::path(
    get, path = "/api/usage", tag = "account", params(PastQuery),
    responses(
        (status = 200, body = UsageBody),
        (status = 401, body = ErrorBody, description = "`unauthenticated` or `session_ended`"),
        (status = 422, body = ErrorBody, description = "`invalid_cursor`, or `invalid_request` for bad days or a bad limit"),
        (status = 503, body = ErrorBody, description = "`unavailable`, with `retry-after`"),
    )
)]
pub(crate) async fn usage(
    State(deps): State<Deps>,
    CurrentUser(session): CurrentUser,
    query: Result<Query<PastQuery>, QueryRejection>,
) -> Result<Json<UsageBody>, ApiError> {
    // All are optional strings, so a repeated parameter is the only possible rejection.
    let once = |_| ApiError::new(ErrorCode::InvalidRequest, "days, limit and cursor: each once");
    let Query(query) = query.map_err(once)?;
    let query = query.parse()?;
    let database = deps.database.request(&session, deps.app.clock().now());
    let usage = database.usage(&query, &deps.plans).await.map_err(AccountError::from)?;
    Ok(Json(UsageBody::new(usage, &deps.plans)))
}
