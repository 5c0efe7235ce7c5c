//! Places an order: here first, then at the payment provider.
//!
//! ```text
//! plan, phone ──▶ Postgres: a new order, or the plan's open one
//!                   │ new                    │ open
//!                   ▼                        ▼
//!                 provider: create         provider: is it paid? fulfilled, 200
//!                   │                                 payable as it is sold now? 200
//!                   ▼                                 else: terminated there, and replaced by a new one, 201
//!                 Postgres: active, 201
//! ```
//!
//! Every step can be repeated: an order that broke off between the two stays `created`, and the next request completes it.

use axum::extract::State;
use axum::response::IntoResponse;
use http::{HeaderMap, StatusCode};
use jiff::SignedDuration;
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use shared_cashfree::{CashfreeError, ProviderState};
use shared_core::billing::{
    ORDER_LIFETIME, Offer, Order, OrderError, OrderId, OrderState, PayerId, Phone, Plan, PlanId,
};
use shared_core::idempotency_key::IdempotencyKey;
use shared_http::{ApiError, CurrentUser, ErrorBody, ErrorCode, Json, idempotency_key};
use shared_postgres::{CreateOrderError, NewOrder, OrderOrigin, StoredOrder};
use utoipa::ToSchema;
use uuid::Uuid;

use crate::body::{Checkout, OrderAndCheckout};
use crate::check::{OrderRequest, PROVIDER_RETRY};
use crate::{Deps, limit};

/// The provider creates no order with this much time left or less: 15 minutes, and some for the way.
const SHORTEST_AT_CREATION: SignedDuration = SignedDuration::from_mins(16);

/// What to buy.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(crate) struct OrderRequestBody {
    /// The plan's id.
    #[schema(example = "premium")]
    plan: String,
    /// The buyer's phone number, which the payment provider requires: 10 digits, or `+` and 8 to 15. May be omitted if one
    /// is remembered.
    #[serde(default)]
    #[schema(value_type = Option<String>, example = "9908734801", write_only)]
    phone: Option<SecretString>,
    /// Whether to remember the phone number for later orders; false forgets a remembered one.
    #[serde(default)]
    remember_phone: Option<bool>,
}

/// Order a plan
///
/// Returns what the browser needs to open the payment page. There is one open order of a user and a plan: a second request
/// continues it. One that was paid meanwhile is returned as `paid`, without a checkout.
#[utoipa::path(
    post, path = "/api/orders", tag = "billing", request_body = OrderRequestBody,
    params(("idempotency-key" = Option<String>, Header, description = "The client's idempotency key of this request, the same in each retry: 1 to 255 printable ASCII characters")),
    responses(
        (status = 201, body = OrderAndCheckout, description = "A new order"),
        (status = 200, body = OrderAndCheckout, description = "The order that there is"),
        (status = 401, body = ErrorBody, description = "`unauthenticated` or `session_ended`"),
        (status = 404, body = ErrorBody, description = "`plan_unknown`, or `billing_off`: nothing is sold here"),
        (status = 422, body = ErrorBody, description = "`plan_not_for_sale`, `phone_needed`, `invalid_phone`, `invalid_idempotency_key` or `idempotency_key_reused`; `invalid_request` for an unknown or a wrong field"),
        (status = 429, body = ErrorBody, description = "`too_many_orders` (10 an hour, 30 a day, and 20 requests a minute), with `retry-after`"),
        (status = 502, body = ErrorBody, description = "`payments_misconfigured`"),
        (status = 503, body = ErrorBody, description = "`payments_unavailable` or `unavailable`, with `retry-after`"),
    )
)]
pub(crate) async fn place_order(
    State(deps): State<Deps>,
    CurrentUser(session): CurrentUser,
    headers: HeaderMap,
    request: Result<Json<OrderRequestBody>, ApiError>,
) -> Result<impl IntoResponse, ApiError> {
    let Json(body) = request.map_err(unquoted)?;
    let key = idempotency_key(&headers)?;
    let billing = deps.billing.as_ref().ok_or(OrderError::BillingOff)?;
    let now = deps.app.clock().now();
    let wanted = Wanted::parse(&deps, body, key)?;
    limit::placing(&deps, &session, now).await?;
    let request = OrderRequest { deps: &deps, billing, session: &session, now };
    let Placed { order, checkout, is_new } = request.place(&wanted).await?;
    let status = if is_new { StatusCode::CREATED } else { StatusCode::OK };
    Ok((status, Json(OrderAndCheckout::new(order, checkout))))
}

/// Replaces serde's message by one that lists the fields: serde quotes the unexpected value, which may be a phone number.
fn unquoted(rejection: ApiError) -> ApiError {
    if rejection.code() != ErrorCode::InvalidRequest {
        return rejection;
    }
    let fields = "the body has to be an object with \"plan\", a text, and if you like \"phone\", a text, and \
                  \"rememberPhone\", true or false";
    ApiError::new(ErrorCode::InvalidRequest, fields)
}

/// A valid request.
struct Wanted<'a> {
    plan: &'a Plan,
    offer: Offer,
    phone: Option<Phone>,
    remember_phone: Option<bool>,
    key: Option<IdempotencyKey>,
}

impl<'a> Wanted<'a> {
    fn parse(
        deps: &'a Deps,
        body: OrderRequestBody,
        key: Option<IdempotencyKey>,
    ) -> Result<Self, OrderError> {
        let plan = PlanId::parse(&body.plan).and_then(|id| deps.plans.get(&id));
        let plan = plan.ok_or(OrderError::PlanUnknown)?;
        let offer = plan.offer().ok_or(OrderError::PlanNotForSale)?;
        let phone = body.phone.map(|phone| Phone::parse(phone.expose_secret())).transpose()?;
        Ok(Self { plan, offer, phone, remember_phone: body.remember_phone, key })
    }
}

/// The order that a request gets.
struct Placed {
    order: Order,
    checkout: Option<Checkout>,
    is_new: bool,
}

impl OrderRequest<'_> {
    async fn place(&self, wanted: &Wanted<'_>) -> Result<Placed, OrderError> {
        let (origin, stored) = self.create(wanted, None).await?;
        let payer = stored.payer;
        let placed = match origin {
            OrderOrigin::New => self.complete(wanted, stored, true).await?,
            OrderOrigin::Known if stored.order.offer.plan != wanted.offer.plan => {
                return Err(OrderError::KeyReused);
            }
            OrderOrigin::Known | OrderOrigin::Open => {
                self.resume_or_replace(wanted, stored).await?
            }
        };
        self.remember_phone(wanted, payer).await?;
        Ok(placed)
    }

    /// Remembers the phone number, or forgets an earlier one, as the buyer wishes.
    async fn remember_phone(&self, wanted: &Wanted<'_>, payer: PayerId) -> Result<(), OrderError> {
        let phone = match (wanted.remember_phone, &wanted.phone) {
            (Some(true), Some(phone)) => Some(self.billing.seal_phone(payer, phone)),
            (Some(false), _) => None,
            (Some(true), None) | (None, _) => return Ok(()),
        };
        Ok(self.database().remember_phone(phone.as_deref()).await?)
    }

    /// Creates the order here, or finds the one that takes its place.
    async fn create(
        &self,
        wanted: &Wanted<'_>,
        replaces: Option<OrderId>,
    ) -> Result<(OrderOrigin, StoredOrder), OrderError> {
        let entropy = self.deps.app.entropy();
        let new = NewOrder {
            id: OrderId(entropy.uuid(self.now)),
            offer: &wanted.offer,
            mode: self.billing.cashfree.mode().as_str(),
            expires_at: self.now + ORDER_LIFETIME,
            payer_if_new: PayerId(Uuid::from_bytes(entropy.bytes())),
            idempotency_key: wanted.key.as_ref().map(IdempotencyKey::as_str),
            replaces,
            has_phone: wanted.phone.is_some(),
        };
        self.database().create_order(&new).await.map_err(|error| match error {
            CreateOrderError::TooMany(reached) => OrderError::TooManyOrders(reached),
            CreateOrderError::PhoneNeeded => OrderError::PhoneNeeded,
            CreateOrderError::Store(error) => error.into(),
        })
    }

    /// Completes an order that is not known to the provider, and returns any other as it is.
    async fn resume(&self, wanted: &Wanted<'_>, stored: StoredOrder) -> Result<Placed, OrderError> {
        if self.can_create(&stored.order, wanted) {
            self.complete(wanted, stored, false).await
        } else {
            Ok(self.placed(stored, false))
        }
    }

    /// Continues an order, or replaces it if it is not what would be sold now, or has too little time left. A paid one
    /// stays.
    async fn resume_or_replace(
        &self,
        wanted: &Wanted<'_>,
        stored: StoredOrder,
    ) -> Result<Placed, OrderError> {
        let id = stored.order.id;
        if stored.order.state == OrderState::Paid {
            return Ok(self.placed(stored, false));
        }
        if self.can_create(&stored.order, wanted) {
            return self.complete(wanted, stored, false).await;
        }
        if stored.order.state == OrderState::Active
            && stored.order.is_payable(&wanted.offer, self.now)
        {
            // It may be paid already. If the provider cannot say, it is payable: a second payment is refunded.
            let stored = self.checked(stored).await?;
            let placed = self.placed(stored, false);
            if placed.order.state == OrderState::Paid || placed.checkout.is_some() {
                return Ok(placed);
            }
        }
        if let Some(paid) = self.terminate(id).await? {
            return Ok(paid);
        }
        let (origin, stored) = self.create(wanted, Some(id)).await?;
        match origin {
            OrderOrigin::New => self.complete(wanted, stored, true).await,
            // Another request has replaced it meanwhile.
            OrderOrigin::Known | OrderOrigin::Open => self.resume(wanted, stored).await,
        }
    }

    /// Terminates an order at the provider, so that it is not paid beside its replacement. Returns it if it is paid.
    async fn terminate(&self, id: OrderId) -> Result<Option<Placed>, OrderError> {
        match self.billing.cashfree.terminate(id).await {
            // The provider never knew it.
            Err(CashfreeError::NotFound) => return Ok(None),
            Ok(order) => self.note(id, &order).await?,
            // Paid or over, unless the provider says that it can still be paid, beside its replacement.
            Err(CashfreeError::NotTerminable(_)) => {
                if self.check(id).await? == ProviderState::Active {
                    return Err(OrderError::PaymentsUnavailable {
                        retry_after: PROVIDER_RETRY,
                        source: "the payment provider does not terminate an order".into(),
                    });
                }
            }
            Err(error) => return Err(self.failed(error)),
        }
        let placed = self.reread(id, false).await?;
        Ok((placed.order.state == OrderState::Paid).then_some(placed))
    }

    /// Creates at the provider what is created here, and notes its payment session.
    async fn complete(
        &self,
        wanted: &Wanted<'_>,
        stored: StoredOrder,
        is_new: bool,
    ) -> Result<Placed, OrderError> {
        let StoredOrder { order, payer, phone: sealed, .. } = stored;
        let remembered = || self.billing.open_phone(payer, sealed.as_deref()?);
        let phone = wanted.phone.clone().or_else(remembered).ok_or(OrderError::PhoneNeeded)?;
        let origin = self.deps.app.origin();
        let return_url = format!("{origin}/billing/return?order={}", order.id);
        let notify_url = format!("{origin}/api/webhooks/cashfree");
        let note = format!("{}, {} days", wanted.plan.name, order.offer.days);
        let new = shared_cashfree::NewOrder {
            id: order.id,
            payer,
            price: order.offer.price,
            phone: &phone,
            expires_at: order.expires_at,
            return_url: &return_url,
            notify_url: Some(&notify_url),
            note: &note,
        };
        let made = match self.billing.cashfree.create_order(&new).await {
            Ok(made) => made,
            Err(error) => {
                if matches!(error, CashfreeError::PhoneRefused(_)) {
                    // The provider may repeat its refusal for this order, whatever the phone number is then.
                    self.database().close_order(order.id, OrderState::Terminated).await?;
                }
                return Err(self.failed(error));
            }
        };
        self.note(order.id, &made).await?;
        self.reread(order.id, is_new).await
    }

    /// Whether an order that the provider may not know can be created there.
    fn can_create(&self, order: &Order, wanted: &Wanted<'_>) -> bool {
        order.state == OrderState::Created
            && order.is_payable(&wanted.offer, self.now)
            && order.expires_at >= self.now + SHORTEST_AT_CREATION
    }

    async fn reread(&self, id: OrderId, is_new: bool) -> Result<Placed, OrderError> {
        let stored = self.database().order(id).await?.ok_or(OrderError::NotFound)?;
        Ok(self.placed(stored, is_new))
    }

    fn placed(&self, stored: StoredOrder, is_new: bool) -> Placed {
        let checkout = self.checkout(&stored);
        Placed { order: stored.order, checkout, is_new }
    }
}
