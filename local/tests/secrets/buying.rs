//! The user buys a plan, and orders the next period.

use fake_cashfree::{Attempt, Call, Trouble};
use serde_json::{Value, json};
use testkit::TestStack;

use crate::life::Life;
use crate::planted::Planted;

const PHONE: &str = "+919908734801";
const API_SECRET: &str = "cfsk-planted-5d20e7b94c81f6a3d7e0425b9c6f18ad3e70b2c4";
const WEBHOOK_SECRET: &str = "webhook-planted-c7f3019ad64e8b25f0136d9e7a4c58b20e9d71f6";

/// The secrets of the account at the payment provider.
pub(crate) fn providers_secrets() -> [Planted; 2] {
    [
        Planted::text("the payment provider's secret", API_SECRET),
        Planted::text("the webhook's secret", WEBHOOK_SECRET),
    ]
}

/// Uses an account at the payment provider with planted secrets.
pub(crate) fn plant_secrets(stack: &mut TestStack) {
    stack.cashfree.set_client_secret(API_SECRET);
    stack.cashfree.set_webhook_secret(Some(WEBHOOK_SECRET.to_owned()));
    stack.set("CASHFREE_CLIENT_SECRET", API_SECRET);
    stack.set("CASHFREE_WEBHOOK_SECRETS", WEBHOOK_SECRET);
}

impl Life {
    /// Buys a plan. Returns what no store and no log may hold of that.
    pub(crate) async fn buy(&mut self) -> Vec<Planted> {
        let unread = json!({ "plan": "premium", "phone": { PHONE: PHONE } });
        self.post("/api/orders", &unread, 422).await;
        // The provider repeats the number.
        self.stack.cashfree.fail_next(Call::CreateOrder, 1, Trouble::PhoneRefused);
        let body = json!({ "plan": "premium", "phone": PHONE, "rememberPhone": true });
        self.post("/api/orders", &body, 422).await;
        for table in ["orders", "billing_contacts"] {
            let refused = async |life: &mut Self| drop(life.post("/api/orders", &body, 503).await);
            self.while_refused(table, refused).await;
        }

        let (bought, paid) = self.order(&body).await;
        self.stack.cashfree.pay(&bought, Attempt::success()).unwrap();
        // Postgres cannot record the payment: its delivery waits in the inbox for the sweep.
        self.while_refused("payments", async |life| life.deliver().await).await;
        let payment = self.stack.cashfree.order(&bought).unwrap().payments.remove(0).id;
        let payment = Planted::text("the payment's id", &payment);
        assert!(payment.is_in(&self.seen.dynamodb), "{} is not in the inbox", payment.name);
        assert_eq!(self.sweep().await.json()["ordersFulfilled"], 1);
        self.deliver().await;
        let order = self.get(&format!("/api/orders/{bought}"), 200).await.json();
        assert_eq!(order["order"]["state"], "paid");

        // The phone number was remembered.
        let (open, waiting) = self.order(&json!({ "plan": "premium" })).await;
        assert_eq!(self.stack.cashfree.order(&open).unwrap().customer_phone, PHONE);
        vec![
            Planted::text("the phone number", PHONE),
            Planted::text("the payment session of the paid order", &paid),
            Planted::text("the payment session of the open order", &waiting),
        ]
    }

    /// Places an order; returns its id, and its payment session, which no other response may have.
    async fn order(&mut self, body: &Value) -> (String, String) {
        let mut answer = self.client.post("/api/orders", body).await;
        let placed = answer.json();
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let session = text(&placed["checkout"]["paymentSessionId"]);
        answer.body = answer.body.replacen(&session, "", 1);
        self.note("/api/orders", answer, 201).await;
        (text(&placed["order"]["id"]), session)
    }

    /// Has the payment provider report the payment.
    async fn deliver(&mut self) {
        let delivery = self.stack.cashfree.deliveries().remove(0);
        let answer = self.client.deliver(&delivery).await;
        self.note("/api/webhooks/cashfree", answer, 200).await;
    }
}
