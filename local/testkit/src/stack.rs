//! The systems that functions use, fresh for every test.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use fake_cashfree::{FakeCashfree, Options, Sending};
use fake_openrouter::FakeOpenRouter;
use local_dynamodb::LocalDynamoDb;
use local_s3::LocalS3;
use local_stack::{TestCache, TestDatabase};
use shared_aws::Aws;
use shared_cache::{Cache, CacheConfig, Codes, Pepper, Serverless};
use shared_cashfree::Cashfree;
use shared_core::billing::Plans;
use shared_core::chat::FinishedTurn;
use shared_core::clock::Clock;
use shared_core::env::Env;
use shared_core::identity::{ABSOLUTE_LIFETIME, Email, Session};
use shared_core::ids::{SessionId, UserId};
use shared_core::models::ModelTable;
use shared_core::random::Entropy;
use shared_files::Files;
use shared_http::{AppContext, HttpConfig, SessionKeys, Tokens};
use shared_inbox::{Inbox, InboxConfig};
use shared_lambda::system_entropy;
use shared_openrouter::{Catalogue, OpenRouter, OpenRouterConfig};
use shared_postgres::{Database, DatabaseConfig, NewSession, Payments};
use shared_turns::{TURNS, finished_turn, inbox_item};
use shared_vault::{Vault, VaultConfig};
use tokio_postgres::{Client, NoTls};

use crate::{MovableClock, repository, repository_file};

/// The app's origin in tests.
pub const ORIGIN: &str = "https://chat.example.com";

/// The signing key of sessions in tests.
const SESSION_KEYS: &str = "test:0123456789abcdef0123456789abcdef";

/// A database, a key prefix, an inbox, a provider and a clock for one test.
pub struct TestStack {
    /// The clock.
    pub clock: MovableClock,
    /// The fake provider.
    pub provider: FakeOpenRouter,
    /// The fake payment provider. It holds its webhooks.
    pub cashfree: FakeCashfree,
    /// The DynamoDB of the inbox, to stop and start.
    pub dynamodb: LocalDynamoDb,
    /// The S3 of uploads, to stop and start.
    pub s3: LocalS3,
    variables: HashMap<&'static str, String>,
    database: TestDatabase,
    _cache: TestCache,
}

impl TestStack {
    /// Starts the systems of one test: milliseconds, once the shared servers run.
    pub async fn start() -> Self {
        let (database, cache) = (TestDatabase::create().await, TestCache::create().await);
        let clock = MovableClock::new();
        let cashfree = fake_cashfree(&clock).await;
        let provider = FakeOpenRouter::start().await.expect("a free port for the fake provider");
        let dynamodb = LocalDynamoDb::start().await.expect("a free port for DynamoDB");
        let s3 = LocalS3::start(&[ORIGIN]).await.expect("a free port for S3");
        let vault_keys = repository().join("local/testkit/vault-keys");
        let mut variables = HashMap::from([
            ("APP_ORIGIN", ORIGIN.to_owned()),
            ("SESSION_KEYS", SESSION_KEYS.to_owned()),
            ("LOGIN_PEPPER", "pepper-pepper-pepper-pepper-pepper".to_owned()),
            ("DATABASE_URL", database.app_url()),
            ("MONEY_DATABASE_URL", database.money_url()),
            ("DATABASE_POOL_SIZE", "4".to_owned()),
            ("CACHE_URL", cache.cache_url().to_owned()),
            ("CACHE_PREFIX", cache.key_prefix().to_owned()),
            ("CASHFREE_BASE_URL", cashfree.base_url()),
            ("CASHFREE_CLIENT_ID", cashfree.client_id().to_owned()),
            ("CASHFREE_CLIENT_SECRET", cashfree.client_secret()),
            ("OPENROUTER_BASE_URL", provider.base_url()),
            ("OPENROUTER_API_KEY", "sk-or-v1-test".to_owned()),
            ("MAIL_FROM", "Chat <login@chat.example.com>".to_owned()),
            ("VAULT_KEYS", format!("file:{}", vault_keys.display())),
        ]);
        variables.extend(dynamodb.variables());
        variables.extend(s3.variables());
        Self { clock, provider, cashfree, dynamodb, s3, variables, database, _cache: cache }
    }

    /// Sets a variable for components that are built from [`TestStack::env`] afterwards.
    pub fn set(&mut self, variable: &'static str, value: impl Into<String>) {
        self.variables.insert(variable, value.into());
    }

    /// The variables that functions read.
    pub fn env(&self) -> Env<'_> {
        Env::new(|variable| self.variables.get(variable).cloned())
    }

    /// The variables in a form for another process.
    pub fn variables(&self) -> Vec<(&'static str, String)> {
        self.variables.iter().map(|(name, value)| (*name, value.clone())).collect()
    }

    /// The edge middleware's context, with the test's clock.
    pub fn app_context(&self) -> AppContext {
        AppContext::new(
            &HttpConfig::from_env(&self.env()).unwrap(),
            self.clock.clock(),
            system_entropy(),
        )
    }

    /// The signer and verifier of session tokens.
    pub fn tokens(&self) -> Tokens {
        let origin = HttpConfig::from_env(&self.env()).unwrap();
        Tokens::new(&SessionKeys::from_env(&self.env()).unwrap(), &origin)
    }

    /// The database, as the app's role.
    pub fn database(&self) -> Database {
        Database::new(&DatabaseConfig::from_env(&self.env()).unwrap(), self.clock.clock()).unwrap()
    }

    /// The database, for payments.
    pub fn payments(&self) -> Payments {
        Payments::from_env(&self.env(), self.clock.clock()).unwrap()
    }

    /// The cache.
    pub fn cache(&self) -> Cache {
        Cache::new(&CacheConfig::from_env(&self.env()).unwrap(), self.clock.clock()).unwrap()
    }

    /// The cache's identity at AWS, if it has one.
    pub fn serverless(&self) -> Option<Serverless> {
        Serverless::from_env(&self.env()).unwrap()
    }

    /// The pending login codes.
    pub fn codes(&self) -> Codes {
        Codes::new(self.cache(), Pepper::from_env(&self.env()).unwrap())
    }

    /// The payment provider's client.
    pub fn cashfree_client(&self) -> Option<Cashfree> {
        Cashfree::from_env(&self.env(), self.clock.clock()).unwrap()
    }

    /// What the provider's models can do.
    pub fn catalogue(&self) -> Arc<Catalogue> {
        Arc::new(Catalogue::new(self.openrouter(), self.table()))
    }

    /// The provider's client.
    pub fn openrouter(&self) -> OpenRouter {
        OpenRouter::new(&OpenRouterConfig::from_env(&self.env()).unwrap()).unwrap()
    }

    /// A vault whose cache of data keys is empty.
    pub fn vault(&self) -> Vault {
        Vault::new(&VaultConfig::from_env(&self.env()).unwrap(), system_entropy())
    }

    /// Files in S3, with a client of its own.
    pub fn files(&self) -> Files {
        let env = self.env();
        Files::from_env(&env, &Aws::from_env(&env).unwrap()).unwrap()
    }

    /// Puts a finished turn into the inbox.
    pub async fn put_turn(&self, turn: &FinishedTurn) {
        self.inbox().put_item(&inbox_item(turn).unwrap()).await.unwrap();
    }

    /// The first page of turns in the inbox.
    pub async fn waiting_turns(&self) -> Vec<FinishedTurn> {
        let page = self.inbox().waiting_items(TURNS, None).await.unwrap();
        page.items.iter().map(|waiting| finished_turn(&waiting.item).unwrap()).collect()
    }

    /// An inbox with a client of its own.
    pub fn inbox(&self) -> Inbox {
        let env = self.env();
        let config = InboxConfig::from_env(&env).unwrap();
        Inbox::new(&config, &Aws::from_env(&env).unwrap())
    }

    /// The model table: the fake's own models are free, and a message to one of `openai/*` costs three
    /// credits.
    pub fn table(&self) -> Arc<ModelTable> {
        let table = r#"
            default = "fake/echo"
            [[model]]
            id = "fake/*"
            tier = "free"
            [[model]]
            id = "openai/*"
            tier = "premium"
            credits = 3
        "#;
        Arc::new(ModelTable::parse(table).unwrap())
    }

    /// The plans of `plans.toml`.
    pub fn plans(&self) -> Arc<Plans> {
        Arc::new(Plans::parse(&repository_file("plans.toml")).unwrap())
    }

    /// Creates a session for `address` without a mail and its code.
    pub async fn session(&self, address: &str) -> Session {
        let (clock, entropy): (Clock, Entropy) = (self.clock.clock(), system_entropy());
        let now = clock.now();
        let new = NewSession {
            id: SessionId(entropy.uuid(now)),
            user_if_new: UserId(entropy.uuid(now)),
            user_agent: Some("test".into()),
            expires_at: now + ABSOLUTE_LIFETIME,
        };
        let user =
            self.database().sign_in(&Email::parse(address).unwrap(), &new, now).await.unwrap();
        Session { user: user.id, id: new.id, expires_at: new.expires_at }
    }

    /// Gives a session's user the premium plan with 250 credits, from now on for 30 days.
    pub async fn premium(&self, session: &Session) {
        let sql = "insert into entitlements (id, user_id, plan, credits, starts_at, ends_at)
                   values (gen_random_uuid(), $1, 'premium', 250, $2, $2::timestamptz + interval '30 days')";
        self.owner().await.execute(sql, &[&session.user.0, &self.clock.now()]).await.unwrap();
    }

    /// The cookie header of a session.
    pub fn cookie(&self, session: &Session) -> String {
        let token = self.tokens().sign(session, self.clock.clock().now()).unwrap();
        format!("__Host-session={token}")
    }

    /// The URL of the database for the owner of the schema, a superuser.
    pub fn owner_url(&self) -> String {
        self.database.owner_url()
    }

    /// A connection as the owner, who sees every row: for inspecting what was stored.
    pub async fn owner(&self) -> Client {
        connect(&self.database.owner_url()).await
    }

    /// All rows of all tables, as text, with `bytea` in hex.
    pub async fn whole_database(&self) -> String {
        let owner = self.owner().await;
        let tables = "select tablename::text from pg_tables where schemaname = 'public'";
        let mut text = String::new();
        for table in owner.query(tables, &[]).await.unwrap() {
            let table: String = table.get(0);
            let rows = format!("select coalesce(string_agg(t::text, ' '), '') from {table} t");
            text += &owner.query_one(&rows, &[]).await.unwrap().get::<_, String>(0);
        }
        text
    }

    /// A plain connection as the app's role, which has entered no session: row-level security applies.
    pub async fn app_role(&self) -> Client {
        connect(&self.database.app_url()).await
    }

    /// A plain connection as the role that records payments.
    pub async fn money_role(&self) -> Client {
        connect(&self.database.money_url()).await
    }

    /// Polls until `sql` counts `expected`, for effects that follow the end of a response.
    pub async fn until_count(&self, expected: i64, sql: &str) {
        let owner = self.owner().await;
        for _ in 0..1500 {
            let count: i64 = owner.query_one(sql, &[]).await.unwrap().get(0);
            if count == expected {
                return;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        panic!("not {expected} within half a minute: {sql}");
    }
}

/// Lives in the test's time.
async fn fake_cashfree(clock: &MovableClock) -> FakeCashfree {
    let clock = clock.clone();
    let options = Options {
        clock: Arc::new(move || clock.now()),
        sending: Sending { hold: true, ..Sending::default() },
        ..Options::default()
    };
    FakeCashfree::start_with(options).await.expect("a free port for the fake payment provider")
}

#[expect(clippy::disallowed_methods, reason = "the connection's task ends with the test")]
async fn connect(url: &str) -> Client {
    let (client, connection) =
        tokio_postgres::connect(url, NoTls).await.expect("the test's database");
    tokio::spawn(connection);
    client
}
