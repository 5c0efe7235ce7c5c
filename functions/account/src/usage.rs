//! What a user may spend and has spent.

mod body;
mod cursor;

use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use serde::Deserialize;
use shared_http::{ApiError, CurrentUser, ErrorBody, ErrorCode, Json};
use shared_postgres::UsageQuery;
use utoipa::IntoParams;

use crate::{Deps, account_error};
use body::UsageBody;

/// How many days there are unless the client asks for fewer or more.
const DAYS: u32 = 30;
/// How many days there are at most.
const MOST_DAYS: u32 = 90;
/// How many turns there are on a page unless the client asks for fewer or more.
const PAGE: u32 = 20;
/// How many turns there are on a page at most.
const LARGEST_PAGE: u32 = 100;

/// How much of the past. What is a number is read by [`within`], whose words are for people; serde's are not.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct PastQuery {
    /// How many days (UTC), today included, 1 to 90; 30 by default.
    #[param(value_type = Option<u32>)]
    days: Option<String>,
    /// How many turns, 1 to 100; 20 by default.
    #[param(value_type = Option<u32>)]
    limit: Option<String>,
    /// The `turns.nextCursor` of the page before.
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

/// Refused rather than cut down to what is allowed: a sum over fewer days than were asked for is wrong.
fn within(field: &str, asked: Option<&str>, usual: u32, most: u32) -> Result<u32, ApiError> {
    let Some(asked) = asked else { return Ok(usual) };
    let count = asked.parse().ok().filter(|count| (1..=most).contains(count));
    count.ok_or_else(|| {
        ApiError::new(ErrorCode::InvalidRequest, format!("{field}: from 1 to {most}"))
    })
}

/// What one may spend and has spent
///
/// Plan, credits, limits and the own key as they are now; what the last days took, per model and payer;
/// and the last turns, page by page. Days are those of UTC. Chats that were deleted still count.
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
    // Each is any text, so that this is all that can be wrong with them here.
    let once = |_| ApiError::new(ErrorCode::InvalidRequest, "days, limit and cursor: each once");
    let Query(query) = query.map_err(once)?;
    let query = query.parse()?;
    let database = deps.database.request(&session, deps.app.clock().now());
    let usage = database.usage(&query, &deps.plans).await.map_err(account_error)?;
    Ok(Json(UsageBody::new(usage, &deps.plans)))
}
