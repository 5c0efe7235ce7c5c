//! Orders that wait for their payment, as the function `orders` leaves them.

use shared_core::billing::{ORDER_LIFETIME, Offer, OrderId, PayerId, Phone, PlanId};
use shared_core::identity::Session;
use shared_lambda::system_entropy;
use shared_postgres::NewOrder;

use crate::{ORIGIN, TestStack};

/// The buyers' phone number, which only the payment provider is told.
pub const PHONE: &str = "9908734801";

impl TestStack {
    /// Makes an order of the plan `premium`, in the database and at the fake payment provider.
    pub async fn order(&self, session: &Session) -> OrderId {
        self.order_of(session, "premium").await
    }

    /// Makes an order of another plan, which has the figures of `premium` and need not be in `plans.toml`.
    pub async fn order_of(&self, session: &Session, plan: &str) -> OrderId {
        let id = self.order_id();
        self.order_as(id, session, plan).await;
        id
    }

    /// The same with a given id.
    pub async fn order_as(&self, id: OrderId, session: &Session, plan: &str) {
        let (database, now) = (self.database(), self.clock.now());
        let offer = Offer { plan: PlanId::parse(plan).unwrap(), ..self.premium_offer() };
        let new = NewOrder {
            id,
            offer: &offer,
            mode: "sandbox",
            expires_at: now + ORDER_LIFETIME,
            payer_if_new: self.payer_id(),
            idempotency_key: None,
            replaces: None,
            has_phone: true,
        };
        let request = database.request(session, now);
        let (_, stored) = request.create_order(&new).await.unwrap();
        assert_eq!(stored.order.id, id, "there is an open order of {plan} already");
        self.order_at_provider(id, stored.payer).await;
        request.activate_order(id, b"encrypted").await.unwrap();
    }

    /// Makes an order that the payment provider knows and the database does not: another deployment's.
    pub async fn foreign_order(&self) -> OrderId {
        let id = self.order_id();
        self.order_at_provider(id, self.payer_id()).await;
        id
    }

    async fn order_at_provider(&self, id: OrderId, payer: PayerId) {
        let phone = Phone::parse(PHONE).unwrap();
        let new = shared_cashfree::NewOrder {
            id,
            payer,
            price: self.premium_offer().price,
            phone: &phone,
            expires_at: self.clock.now() + ORDER_LIFETIME,
            return_url: &format!("{ORIGIN}/billing/return?order={id}"),
            notify_url: None,
            note: "Premium, 30 days",
        };
        self.cashfree_client().unwrap().create_order(&new).await.unwrap();
    }

    fn premium_offer(&self) -> Offer {
        let premium = PlanId::parse("premium").unwrap();
        self.plans().get(&premium).unwrap().offer().unwrap()
    }

    fn order_id(&self) -> OrderId {
        OrderId(system_entropy().uuid(self.clock.now()))
    }

    fn payer_id(&self) -> PayerId {
        PayerId(system_entropy().uuid(self.clock.now()))
    }
}
