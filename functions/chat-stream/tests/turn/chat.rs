//! Shared setup of these tests.

use serde_json::{Value, json};
use shared_core::identity::Session;
use shared_lambda::Tasks;
use testkit::{Answer, Client, TestStack};

use crate::app::app;

/// One user, and their client of the function.
pub(crate) struct Chat {
    pub(crate) stack: TestStack,
    pub(crate) session: Session,
    pub(crate) client: Client,
    pub(crate) tasks: Tasks,
}

impl Chat {
    pub(crate) async fn start() -> Self {
        Self::on(TestStack::start().await).await
    }

    pub(crate) async fn on(stack: TestStack) -> Self {
        let session = stack.session("ada@example.com").await;
        let tasks = Tasks::default();
        let client = Client::new(app(&stack, &tasks)).signed_in(&stack.cookie(&session));
        Self { stack, session, client, tasks }
    }

    /// On the premium plan, for more turns than the free plan has in a day.
    pub(crate) async fn premium() -> Self {
        Self::start().await.on_premium().await
    }

    pub(crate) async fn on_premium(self) -> Self {
        self.stack.premium(&self.session).await;
        self
    }

    /// The same user's client of another process of the function.
    pub(crate) fn elsewhere(&self) -> Client {
        let app = app(&self.stack, &Tasks::default());
        Client::new(app).signed_in(&self.stack.cookie(&self.session))
    }

    /// Deletes all keys of all live logs, as if they had expired after an hour.
    pub(crate) async fn forget_logs(&self) {
        self.forget("*").await;
    }

    /// Deletes the keys of this kind, of all turns.
    pub(crate) async fn forget(&self, what: &str) {
        let env = self.stack.env();
        let url = env.required("CACHE_URL").unwrap();
        let pattern = format!("{}{{turn:*}}:{what}", env.required("CACHE_PREFIX").unwrap());
        let client = redis::Client::open(url).unwrap();
        let mut connection = client.get_multiplexed_async_connection().await.unwrap();
        let keys: Vec<String> =
            redis::cmd("KEYS").arg(pattern).query_async(&mut connection).await.unwrap();
        assert!(!keys.is_empty(), "there are no keys to delete");
        for key in keys {
            let _: i64 = redis::cmd("DEL").arg(key).query_async(&mut connection).await.unwrap();
        }
    }

    pub(crate) async fn ask(&self, model: &str, question: &str) -> Answer {
        self.client.post("/api/chat", &body("the-chat", model, question)).await
    }

    /// The one stored answer: status, text, error code.
    pub(crate) async fn stored(&self) -> (String, String, Option<String>) {
        let sql = "select status, parts::text, error_code from messages where role = 'assistant'";
        let row = self.stack.owner().await.query_one(sql, &[]).await.unwrap();
        let parts: Value = serde_json::from_str(row.get(1)).unwrap();
        let texts = parts.as_array().unwrap().iter().filter(|part| part["type"] == "text");
        let text = texts.filter_map(|part| part["text"].as_str()).collect();
        (row.get(0), text, row.get(2))
    }
}

/// The reduced form of a request.
pub(crate) fn body(chat: &str, model: &str, question: &str) -> Value {
    json!({ "id": chat, "model": model, "message": { "role": "user", "parts": [{ "type": "text", "text": question }] } })
}
