//! The user's allowances, limits and usage.

mod body;

use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use serde::Deserialize;
use shared_core::identity::AccountError;
use shared_http::{
    ApiError, CurrentUser, ErrorBody, ErrorCode, Json, PageQuery, Paging, number_within,
};
use shared_postgres::UsageQuery;
use utoipa::IntoParams;

use crate::Deps;
use body::UsageBody;

/// Default number of days.
const DAYS: u32 = 30;
/// Maximum number of days. A longer range is rejected, not clamped: a sum over fewer days than requested is wrong.
const MOST_DAYS: u32 = 90;

/// Range of the report.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct DaysQuery {
    /// Number of days (UTC), today included, 1 to 90; 30 by default.
    #[param(value_type = Option<u32>)]
    days: Option<String>,
}

/// Allowances, limits and usage
///
/// The current plan, credits, limits and the user's own key (BYOK); usage of the last days, per model and
/// payer; and the last turns, page by page. Days are in UTC. Deleted chats still count.
#[utoipa::path(
    get, path = "/api/usage", tag = "account", params(DaysQuery, PageQuery),
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
    query: Result<Query<DaysQuery>, QueryRejection>,
    Paging(page): Paging,
) -> Result<Json<UsageBody>, ApiError> {
    // It is an optional string, so a repeated parameter is the only possible rejection.
    let once = |_| ApiError::new(ErrorCode::InvalidRequest, "days: once");
    let Query(query) = query.map_err(once)?;
    let days = number_within("days", query.days.as_deref(), DAYS, MOST_DAYS)?;
    let database = deps.database.request(&session, deps.app.clock().now());
    let usage = database.usage(&UsageQuery { days, page }, &deps.plans).await;
    Ok(Json(UsageBody::new(usage.map_err(AccountError::from)?, &deps.plans)))
}
