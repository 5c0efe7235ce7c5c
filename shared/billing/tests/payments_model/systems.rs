//! The systems that the functions use, and the functions on them.

use std::collections::HashMap;
use std::sync::Arc;

use orders::Billing;
use shared_aws::Aws;
use shared_cache::{Cache, CacheConfig};
use shared_cashfree::{Cashfree, WebhookSecrets};
use shared_core::billing::Plans;
use shared_core::clock::Clock;
use shared_core::env::Env;
use shared_http::{AppContext, Tokens};
use shared_inbox::Inbox;
use shared_lambda::system_entropy;
use shared_openrouter::OpenRouter;
use shared_postgres::{Database, Jobs, Payments};
use shared_vault::Vault;
use testkit::{Client, TestStack, repository_file};

use crate::history::Away;

const NO_POSTGRES: &str = "postgres://nobody@127.0.0.1:1/nothing";
/// Variables of systems that refuse at once.
const NOWHERE: [(&str, &str); 4] = [
    ("DATABASE_URL", NO_POSTGRES),
    ("MONEY_DATABASE_URL", NO_POSTGRES),
    ("CACHE_URL", "redis://127.0.0.1:1"),
    ("INBOX_TABLE", "no-such-table"),
];

/// The prices of the two plans, in paise, in each table.
const PRICES: [u32; 2] = [45_000, 49_950];

/// Clients of Postgres, the inbox and the cache.
struct Stores {
    database: Database,
    payments: Payments,
    jobs: Jobs,
    inbox: Inbox,
    cache: Cache,
}

/// All that the functions use.
pub(crate) struct Systems {
    app: AppContext,
    tokens: Tokens,
    secrets: WebhookSecrets,
    billing: Option<Billing>,
    cashfree: Option<Cashfree>,
    vault: Vault,
    openrouter: OpenRouter,
    tables: [Arc<Plans>; 2],
    there: Stores,
    away: Stores,
}

/// The functions of a moment.
pub(crate) struct Functions {
    pub(crate) orders: Client,
    pub(crate) webhook: Client,
    pub(crate) sweep: sweep::Deps,
}

impl Systems {
    pub(crate) fn new(stack: &TestStack) -> Self {
        let (env, clock) = (stack.env(), stack.clock.clock());
        let mut variables: HashMap<_, _> = stack.variables().into_iter().collect();
        let there = Stores::new(&variables, &stack.owner_url(), &clock);
        variables.extend(NOWHERE.map(|(name, value)| (name, value.to_owned())));
        Self {
            app: stack.app_context(),
            tokens: stack.tokens(),
            secrets: WebhookSecrets::from_env(&env).unwrap(),
            billing: Billing::from_env(&env, clock.clone(), &system_entropy()).unwrap(),
            cashfree: stack.cashfree_client(),
            vault: stack.vault(),
            openrouter: stack.openrouter(),
            tables: PRICES.map(table),
            there,
            away: Stores::new(&variables, NO_POSTGRES, &clock),
        }
    }

    /// The app's database.
    pub(crate) fn database(&self) -> &Database {
        &self.there.database
    }

    /// The functions, as they are deployed with a table of prices.
    pub(crate) fn functions(&self, stack: &TestStack, away: Away, prices: usize) -> Functions {
        let which = |is_away| if is_away { &self.away } else { &self.there };
        let (postgres, inbox, cache) =
            (which(away.postgres), &which(away.inbox).inbox, &which(away.cache).cache);
        let orders = orders::Deps {
            app: self.app.clone(),
            tokens: self.tokens.clone(),
            cache: cache.clone(),
            database: postgres.database.clone(),
            payments: postgres.payments.clone(),
            billing: self.billing.clone(),
            plans: Arc::clone(&self.tables[prices]),
        };
        let webhook = webhook::Deps {
            app: self.app.clone(),
            secrets: self.secrets.clone(),
            inbox: inbox.clone(),
            payments: postgres.payments.clone(),
        };
        let sweep = sweep::Deps {
            jobs: postgres.jobs.clone(),
            vault: self.vault.clone(),
            cache: cache.clone(),
            inbox: inbox.clone(),
            files: stack.files(),
            cashfree: self.cashfree.clone(),
            openrouter: self.openrouter.clone(),
            clock: stack.clock.clock(),
            entropy: system_entropy(),
        };
        Functions {
            orders: Client::new(orders::app(orders)),
            webhook: Client::new(webhook::app(webhook)),
            sweep,
        }
    }
}

impl Stores {
    /// Of these variables; jobs log in by a URL of their own.
    fn new(variables: &HashMap<&'static str, String>, jobs_url: &str, clock: &Clock) -> Self {
        let env = Env::new(|name| variables.get(name).cloned());
        let for_jobs = Env::new(|name| match name {
            "DATABASE_URL" => Some(jobs_url.to_owned()),
            _ => variables.get(name).cloned(),
        });
        Self {
            database: Database::from_env(&env, clock.clone()).unwrap(),
            payments: Payments::from_env(&env, clock.clone()).unwrap(),
            jobs: Jobs::from_env(&for_jobs, clock.clone()).unwrap(),
            inbox: Inbox::from_env(&env, &Aws::from_env(&env).unwrap()).unwrap(),
            cache: Cache::new(&CacheConfig::from_env(&env).unwrap(), clock.clone()).unwrap(),
        }
    }
}

/// The plans of `plans.toml`, and a second one, at this price.
fn table(paise: u32) -> Arc<Plans> {
    let free_and_premium = repository_file("plans.toml").replace("45_000", &paise.to_string());
    let premium = free_and_premium.find("[[plan]]\nid = \"premium\"").unwrap();
    let gold = free_and_premium[premium..].replace("id = \"premium\"", "id = \"gold\"");
    Arc::new(Plans::parse(&format!("{free_and_premium}\n{gold}")).unwrap())
}
