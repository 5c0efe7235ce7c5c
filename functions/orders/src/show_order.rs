//! Returns an order, and asks the payment provider about one that waits for its payment.

use axum::extract::{Path, State};
use axum::response::IntoResponse;
use http::header;
use shared_core::billing::{OrderError, OrderId};
use shared_http::{ApiError, CurrentUser, ErrorBody, Json};

use crate::body::OrderAndCheckout;
use crate::check::OrderRequest;
use crate::{Deps, limit};

/// Seconds after which a client asks again.
const POLL_AFTER: u64 = 2;

/// One order
///
/// While it waits for its payment, the payment provider is asked, at most every three seconds: poll it after the return
/// from the payment page, until it is `paid`. What the return itself says is not believed.
#[utoipa::path(
    get, path = "/api/orders/{id}", tag = "billing",
    params(("id" = String, Path, description = "The order's id")),
    responses(
        (status = 200, body = OrderAndCheckout, headers(
            ("retry-after" = u64, description = "seconds until it is worth asking again; only of an order that waits"),
        )),
        (status = 401, body = ErrorBody, description = "`unauthenticated` or `session_ended`"),
        (status = 404, body = ErrorBody, description = "`order_not_found`"),
        (status = 429, body = ErrorBody, description = "`too_many_requests`, with `retry-after`: 60 a minute"),
        (status = 503, body = ErrorBody, description = "`unavailable`, with `retry-after`"),
    )
)]
pub(crate) async fn show_order(
    State(deps): State<Deps>,
    CurrentUser(session): CurrentUser,
    Path(id): Path<String>,
) -> Result<impl IntoResponse, ApiError> {
    let now = deps.app.clock().now();
    limit::polling(&deps, &session, now).await?;
    let id = OrderId::parse(&id).ok_or(OrderError::NotFound)?;
    let database = deps.database.request(&session, now);
    let mut stored =
        database.order(id).await.map_err(OrderError::from)?.ok_or(OrderError::NotFound)?;
    let mut checkout = None;
    if let Some(billing) = &deps.billing {
        let request = OrderRequest { deps: &deps, billing, session: &session, now };
        if stored.order.state.is_open() {
            stored = request.checked(stored).await?;
        }
        checkout = request.checkout(&stored);
    }
    let poll =
        stored.order.state.is_open().then_some([(header::RETRY_AFTER, POLL_AFTER.to_string())]);
    Ok((poll, Json(OrderAndCheckout::new(stored.order, checkout))))
}
