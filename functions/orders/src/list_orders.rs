//! Lists the user's orders.

use axum::extract::State;
use shared_core::billing::OrderError;
use shared_http::{ApiError, CurrentUser, ErrorBody, Json, PageBody, PageQuery, Paging};

use crate::Deps;
use crate::body::OrderBody;

/// The user's orders
///
/// Newest first, with those that were never paid. Does not ask the payment provider.
#[utoipa::path(
    get, path = "/api/orders", tag = "billing", params(PageQuery),
    responses(
        (status = 200, body = PageBody<OrderBody>),
        (status = 401, body = ErrorBody, description = "`unauthenticated` or `session_ended`"),
        (status = 422, body = ErrorBody, description = "`invalid_cursor`, or `invalid_request` for a limit out of range"),
        (status = 503, body = ErrorBody, description = "`unavailable`, with `retry-after`"),
    )
)]
pub(crate) async fn list_orders(
    State(deps): State<Deps>,
    CurrentUser(session): CurrentUser,
    Paging(page): Paging,
) -> Result<Json<PageBody<OrderBody>>, ApiError> {
    let database = deps.database.request(&session, deps.app.clock().now());
    let orders = database.orders(&page).await.map_err(OrderError::from)?;
    Ok(Json(PageBody::new(orders, OrderBody::from)))
}
