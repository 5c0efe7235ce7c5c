//! The product with planted secrets, and one user who uses it.

use std::fs;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::body::Body;
use local::{DevMailbox, Product, Sweeper, Wiring};
use serde_json::{Value, json};
use shared_core::random::Entropy;
use shared_lambda::system_entropy;
use shared_postgres::{DatabaseConfig, Jobs};
use shared_vault::{Vault, VaultConfig};
use testkit::{Answer, Client, TestStack};

use crate::at_rest::AtRest;
use crate::buying;
use crate::planted::{Planted, hex};

pub(crate) const ADDRESS: &str = "ada.planted@example.com";
pub(crate) const QUESTION: &str = "why does my left knee hurt when it rains in Lisbon";
pub(crate) const OWN_KEY: &str = "sk-or-v1-own-3f9a52c8e7d10b4466a1cd92e05f7b8830e4d6a97c217e40";
pub(crate) const PLATFORM_KEY: &str = "sk-or-v1-platform-b81e60f4d2a97c3559e0174ad6fc83b21e905d7a";

const SESSION_KEY: &str = "session-key-d06b1f7a3e92c8455b70fa16e3d84c29";
const FORMER_SESSION_KEY: &str = "former-session-key-81c2e6a90d7f4b35a8e1509cf263d7b4";
const PEPPER: &str = "pepper-f4470a9bd1c26e8355e9b30f7ad8126c";
const MASTER_KEY: [u8; 32] = *b"\x8f\x13\xa6\xd9\x42\xee\x07\xb5\x6c\xf1\x98\x20\xcb\x74\x3d\xe8\
                                \x51\x9a\x0e\xc7\xb2\x65\xdf\x38\x84\xfa\x1b\x90\xc3\x5e\xa7\x2d";

/// The master key to which the sweep re-encrypts all keys (key rotation).
const NEXT_MASTER_KEY: [u8; 32] = *b"\xd2\x68\x0b\xf7\x3c\x95\xe1\x4a\xb9\x26\x7f\xc4\x10\xad\x83\x5e\
                                     \xf0\x47\x9b\x32\xc8\x6d\x15\xea\x71\xbe\x04\xd9\x5a\xa3\x8e\x1f";

/// The operator's secrets, as opposed to those of users.
pub(crate) fn operators_secrets() -> Vec<Planted> {
    let mut secrets = vec![
        Planted::text("the session key", SESSION_KEY),
        Planted::text("the former session key", FORMER_SESSION_KEY),
        Planted::text("the pepper", PEPPER),
        Planted::text("the platform's key", PLATFORM_KEY),
        Planted::bytes("the master key", &MASTER_KEY),
        Planted::bytes("the next master key", &NEXT_MASTER_KEY),
    ];
    secrets.extend(buying::providers_secrets());
    secrets
}

/// A client of the product, with a record of all that it caused.
pub(crate) struct Life {
    pub(crate) stack: TestStack,
    /// Postgres, Valkey and the inbox at rest, after each step.
    pub(crate) seen: AtRest,
    /// The bodies of all responses.
    pub(crate) responses: String,
    pub(crate) client: Client,
    inbox: DevMailbox,
    chats: usize,
    drawn: Arc<Mutex<Vec<Vec<u8>>>>,
}

impl Life {
    pub(crate) async fn begin() -> Self {
        let mut stack = TestStack::start().await;
        stack.set("SESSION_KEYS", format!("a:{SESSION_KEY},b:{FORMER_SESSION_KEY}"));
        stack.set("LOGIN_PEPPER", PEPPER);
        stack.set("OPENROUTER_API_KEY", PLATFORM_KEY);
        buying::plant_secrets(&mut stack);
        let (clock, inbox) = (stack.clock.clock(), DevMailbox::new(stack.clock.clock(), None));
        let drawn = Arc::default();
        let entropy = remembering(Arc::clone(&drawn));
        // Key rotation under way: the sweep knows the next master key already, the functions not before
        // they are deployed again.
        let (now, next) = (("now", MASTER_KEY), ("next", NEXT_MASTER_KEY));
        let vault = with_master_keys(&mut stack, &[next, now], |stack| {
            Vault::new(&VaultConfig::from_env(&stack.env()).unwrap(), entropy.clone())
        });
        let sweep = sweep::Deps {
            jobs: Jobs::new(&DatabaseConfig::at(&stack.owner_url()), clock.clone()).unwrap(),
            vault,
            cache: stack.cache(),
            inbox: stack.inbox(),
            files: stack.files(),
            cashfree: stack.cashfree_client(),
            openrouter: stack.openrouter(),
            clock: clock.clone(),
            entropy: entropy.clone(),
        };
        let wiring = Wiring {
            clock,
            entropy,
            mailbox: inbox.clone(),
            table: (*stack.table()).clone(),
            plans: (*stack.plans()).clone(),
            sweeper: Some(Sweeper::new(sweep)),
        };
        let product = with_master_keys(&mut stack, &[now], |stack| {
            Product::new(&stack.env(), wiring).unwrap()
        });
        let client = Client::new(product.router()).from("203.0.113.7");
        Self {
            stack,
            seen: AtRest::default(),
            responses: String::new(),
            client,
            inbox,
            chats: 0,
            drawn,
        }
    }

    /// The data keys: the only random values of 32 bytes here.
    pub(crate) fn data_keys(&self) -> Vec<Vec<u8>> {
        let drawn = self.drawn.lock().unwrap();
        drawn.iter().filter(|bytes| bytes.len() == 32).cloned().collect()
    }

    /// Logs in with the mailed code, after a wrong guess; returns the code and the token.
    pub(crate) async fn log_in(&mut self) -> (String, String) {
        let code = self.ask_for_code().await;
        let wrong = if code == "123456" { "654321" } else { "123456" };
        let guess = |code: &str| json!({ "email": ADDRESS, "code": code });
        self.post("/api/auth/verify", &guess(wrong), 401).await;
        let answer = self.post("/api/auth/verify", &guess(&code), 200).await;
        let cookie = answer.header("set-cookie").unwrap().split(';').next().unwrap().to_owned();
        self.sign_in_as(&cookie);
        self.get("/api/me", 200).await;
        (code, cookie.split_once('=').unwrap().1.to_owned())
    }

    pub(crate) async fn ask_for_code(&mut self) -> String {
        // A minute has to pass between two codes.
        self.stack.clock.advance(Duration::from_mins(2));
        self.post("/api/auth/otp", &json!({ "email": ADDRESS }), 202).await;
        self.inbox.code_for(ADDRESS).unwrap()
    }

    pub(crate) fn sign_in_as(&mut self, cookie: &str) {
        self.client = self.client.clone().signed_in(cookie);
    }

    pub(crate) async fn log_out(&mut self) {
        let request = self.client.request("POST", "/api/auth/logout", Body::empty());
        let answer = self.client.send(request).await;
        self.note("logout", answer, 204).await;
    }

    /// Asks in a new chat.
    pub(crate) async fn chat(&mut self, model: &str, status: u16) -> Answer {
        self.chats += 1;
        let parts = json!([{ "type": "text", "text": QUESTION }]);
        let question = json!({
            "id": format!("chat-{:04}", self.chats),
            "model": model,
            "message": { "role": "user", "parts": parts },
        });
        self.post("/api/chat", &question, status).await
    }

    /// Has the sweep re-encrypt all keys under the next master key.
    pub(crate) async fn sweep(&mut self) -> Answer {
        self.post("/local/sweep", &json!({}), 200).await
    }

    /// Runs `act` while Postgres refuses every new row of `table`.
    pub(crate) async fn while_refused(&mut self, table: &str, act: impl AsyncFnOnce(&mut Self)) {
        let owner = self.stack.owner().await;
        let refuse = format!("alter table {table} add constraint no_more check (false) not valid");
        owner.batch_execute(&refuse).await.unwrap();
        act(self).await;
        let allow = format!("alter table {table} drop constraint no_more");
        owner.batch_execute(&allow).await.unwrap();
    }

    pub(crate) async fn get(&mut self, path: &str, status: u16) -> Answer {
        let answer = self.client.get(path).await;
        self.note(path, answer, status).await
    }

    pub(crate) async fn put(&mut self, path: &str, body: &Value, status: u16) -> Answer {
        let answer = self.client.json("PUT", path, body.to_string()).await;
        self.note(path, answer, status).await
    }

    pub(crate) async fn patch(&mut self, path: &str, body: &Value) -> Answer {
        let answer = self.client.patch(path, body).await;
        self.note(path, answer, 200).await
    }

    pub(crate) async fn post(&mut self, path: &str, body: &Value, status: u16) -> Answer {
        let answer = self.client.post(path, body).await;
        self.note(path, answer, status).await
    }

    pub(crate) async fn note(&mut self, path: &str, answer: Answer, status: u16) -> Answer {
        assert_eq!(answer.status, status, "{path}: {}", answer.body);
        self.responses.push_str(&answer.body);
        self.seen.look(&self.stack).await;
        answer
    }
}

/// A random source that records what it returns.
fn remembering(drawn: Arc<Mutex<Vec<Vec<u8>>>>) -> Entropy {
    let source = system_entropy();
    Entropy::new(move |bytes| {
        bytes.fill_with(|| u8::from_le_bytes(source.bytes()));
        drawn.lock().unwrap().push(bytes.to_vec());
    })
}

/// Runs `make` while the vault's key file, which is read once, holds these keys, the current one first.
fn with_master_keys<T>(
    stack: &mut TestStack,
    keys: &[(&str, [u8; 32])],
    make: impl FnOnce(&TestStack) -> T,
) -> T {
    let file = std::env::temp_dir().join(format!("planted-keys-{}", std::process::id()));
    let lines: Vec<_> = keys.iter().map(|(id, key)| format!("{id}:{}", hex(key))).collect();
    fs::write(&file, lines.join("\n")).unwrap();
    stack.set("VAULT_KEYS", format!("file:{}", file.display()));
    let made = make(stack);
    fs::remove_file(file).unwrap();
    made
}
