//! Users who order plans, and what the provider and the database have of their orders.

use std::sync::Arc;
use std::time::Duration;

use fake_cashfree::{Attempt, OrderRecord};
use jiff::Timestamp;
use orders::{Billing, Deps, app};
use serde_json::{Value, json};
use shared_core::billing::Plans;
use shared_core::identity::Session;
use shared_lambda::system_entropy;
use testkit::{Answer, Client, TestStack, repository_file};

pub(crate) const PATH: &str = "/api/orders";
pub(crate) const PHONE: &str = "9908734801";

/// The function's dependencies, with the table of plans.
pub(crate) fn deps(stack: &TestStack) -> Deps {
    let billing = Billing::from_env(&stack.env(), stack.clock.clock(), &system_entropy());
    Deps {
        app: stack.app_context(),
        tokens: stack.tokens(),
        cache: stack.cache(),
        database: stack.database(),
        payments: stack.payments(),
        billing: billing.unwrap(),
        plans: stack.plans(),
    }
}

/// The table of plans, changed.
pub(crate) fn plans_with(from: &str, to: &str) -> Plans {
    let table = repository_file("plans.toml");
    assert!(table.contains(from), "{from}");
    Plans::parse(&table.replacen(from, to, 1)).unwrap()
}

/// A logged-in user.
pub(crate) struct User {
    pub(crate) session: Session,
    pub(crate) client: Client,
}

impl User {
    pub(crate) async fn new(stack: &TestStack, name: &str) -> Self {
        let session = stack.session(&format!("{name}@example.com")).await;
        Self::with(stack, session, deps(stack))
    }

    /// The same session in a new function instance, with the current variables.
    pub(crate) fn again(&self, stack: &TestStack) -> Self {
        Self::with(stack, self.session, deps(stack))
    }

    /// The same session in a function instance with another table of plans.
    pub(crate) fn sold(&self, stack: &TestStack, plans: Plans) -> Self {
        Self::with(stack, self.session, Deps { plans: Arc::new(plans), ..deps(stack) })
    }

    fn with(stack: &TestStack, session: Session, deps: Deps) -> Self {
        let client = Client::new(app(deps)).signed_in(&stack.cookie(&session));
        Self { session, client }
    }

    pub(crate) async fn post(&self, body: Value) -> Answer {
        self.client.post(PATH, &body).await
    }

    /// Orders the plan `premium`.
    pub(crate) async fn order(&self) -> Answer {
        self.post(json!({ "plan": "premium", "phone": PHONE })).await
    }

    /// Orders the plan `premium`, and returns the id of the new order.
    pub(crate) async fn ordered(&self) -> String {
        order_id(&expect(201, self.order().await))
    }

    pub(crate) async fn show(&self, id: &str) -> Answer {
        self.client.get(&format!("{PATH}/{id}")).await
    }

    /// An order's state as it is listed, which does not ask the provider.
    pub(crate) async fn state(&self, id: &str) -> String {
        let list = self.client.get(PATH).await.json();
        let order = list["items"].as_array().unwrap().iter().find(|order| order["id"] == id);
        order.unwrap()["state"].as_str().unwrap().to_owned()
    }

    /// The user's periods, the first one first.
    pub(crate) async fn periods(&self, stack: &TestStack) -> Vec<(Timestamp, Timestamp)> {
        let sql =
            "select starts_at, ends_at from entitlements where user_id = $1 order by starts_at";
        let rows = stack.owner().await.query(sql, &[&self.session.user.0]).await.unwrap();
        rows.iter().map(|row| (row.get(0), row.get(1))).collect()
    }
}

/// Fails unless the answer has this status.
pub(crate) fn expect(status: u16, answer: Answer) -> Answer {
    assert_eq!(answer.status, status, "{}", answer.body);
    answer
}

/// Status and error code.
pub(crate) fn refused(status: u16, code: &str) -> (u16, String) {
    (status, code.to_owned())
}

pub(crate) fn order_id(answer: &Answer) -> String {
    answer.json()["order"]["id"].as_str().unwrap().to_owned()
}

/// State of the order in an answer.
pub(crate) fn order_state(answer: &Answer) -> String {
    answer.json()["order"]["state"].as_str().unwrap().to_owned()
}

/// The provider's order with this id.
pub(crate) fn at_provider(stack: &TestStack, id: &str) -> OrderRecord {
    stack.cashfree.order(id).unwrap()
}

/// The checkout that an answer should have.
pub(crate) fn checkout(stack: &TestStack, id: &str) -> Value {
    json!({ "paymentSessionId": at_provider(stack, id).session, "mode": "sandbox" })
}

/// Pays an order at the provider, whose webhook is lost.
pub(crate) fn pay(stack: &TestStack, id: &str) {
    stack.cashfree.pay(id, Attempt::success()).unwrap();
}

/// Lets an order expire at the provider, and the time pass in which it is not asked again.
pub(crate) fn expire(stack: &TestStack, id: &str) {
    stack.cashfree.expire(id);
    stack.clock.advance(Duration::from_secs(3));
}

pub(crate) async fn count(stack: &TestStack, sql: &str) -> i64 {
    stack.owner().await.query_one(sql, &[]).await.unwrap().get(0)
}
