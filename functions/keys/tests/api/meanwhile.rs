//! Races with a key that `OpenRouter` is checking.

use std::sync::Arc;

use axum::Router;
use axum::routing::get;
use serde_json::{Value, json};
use testkit::TestStack;
use tokio::net::TcpListener;
use tokio::sync::Notify;
use tokio::task::JoinSet;

use crate::api::setup::{KEY, User, key_ending, refused};

/// A fake `OpenRouter` that signals when it is asked, and answers on a signal.
struct Hesitant {
    url: String,
    asked: Arc<Notify>,
    answer: Arc<Notify>,
    _server: JoinSet<()>,
}

impl Hesitant {
    async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let (asked, answer) = (Arc::<Notify>::default(), Arc::<Notify>::default());
        let key = {
            let (asked, answer) = (Arc::clone(&asked), Arc::clone(&answer));
            async move || {
                asked.notify_one();
                answer.notified().await;
                axum::Json(json!({ "data": { "usage": 0 } }))
            }
        };
        let mut server = JoinSet::new();
        let app = Router::new().route("/key", get(key));
        server.spawn(async { axum::serve(listener, app).await.unwrap() });
        Self { url, asked, answer, _server: server }
    }

    /// Runs `something` between the request that checks the key and its response.
    async fn meanwhile(&self, something: impl Future<Output = ()>) {
        self.asked.notified().await;
        something.await;
        self.answer.notify_one();
    }
}

async fn ada_and_a_hesitant_openrouter() -> (TestStack, User, Hesitant) {
    let mut stack = TestStack::start().await;
    let ada = User::new(&stack, "ada").await;
    assert_eq!(ada.put(json!({ "key": KEY, "policy": "always" })).await.status, 200);
    let hesitant = Hesitant::start().await;
    stack.set("OPENROUTER_BASE_URL", hesitant.url.clone());
    let ada = User::again(&stack, ada.session);
    (stack, ada, hesitant)
}

#[tokio::test]
async fn settings_that_change_during_the_check_are_kept() {
    let (stack, ada, openrouter) = ada_and_a_hesitant_openrouter().await;
    let other = key_ending("other");
    let (answer, ()) = tokio::join!(
        ada.put_key(&other),
        openrouter.meanwhile(async {
            let change = json!({ "policy": "fallback", "monthlyCapUsd": 3 });
            assert_eq!(ada.patch(change).await.status, 200);
        })
    );
    assert_eq!(answer.status, 200, "{}", answer.body);
    let body = answer.json();
    assert_eq!((&body["policy"], &body["monthlyCapUsd"]), (&json!("fallback"), &json!(3.0)));
    assert_eq!(ada.get().await.json(), body);
    assert_eq!(ada.stored(&stack).await, Some(other));
}

#[tokio::test]
async fn a_key_that_is_deleted_during_the_check_leaves_no_settings_to_the_next() {
    let (stack, ada, openrouter) = ada_and_a_hesitant_openrouter().await;
    let other = key_ending("other");
    let (answer, ()) = tokio::join!(
        ada.put_key(&other),
        openrouter.meanwhile(async { assert_eq!(ada.delete().await.status, 204) })
    );
    let body = answer.json();
    assert_eq!((&body["policy"], &body["monthlyCapUsd"]), (&json!("fallback"), &Value::Null));
    assert_eq!(ada.stored(&stack).await, Some(other));
}

#[tokio::test]
async fn a_session_that_ends_during_the_check_stores_nothing() {
    let (stack, ada, openrouter) = ada_and_a_hesitant_openrouter().await;
    let other = key_ending("other");
    let database = stack.database();
    let (answer, ()) = tokio::join!(
        ada.put_key(&other),
        openrouter.meanwhile(async {
            database.request(&ada.session, stack.clock.now()).log_out().await.unwrap();
        })
    );
    assert_eq!(answer.refusal(), refused(401, "session_ended"));
    assert_eq!(ada.stored(&stack).await.as_deref(), Some(KEY));
}
