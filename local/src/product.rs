//! All functions, on the same database, cache and provider, served on one port.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use account::HealthCheck;
use axum::Router;
use axum::serve::ListenerExt;
use chat_stream::ChatConfig;
use orders::Billing;
use shared_aws::Aws;
use shared_cache::{Cache, CacheConfig, Codes, Serverless};
use shared_cashfree::WebhookSecrets;
use shared_core::billing::Plans;
use shared_core::clock::Clock;
use shared_core::env::{ConfigError, Env};
use shared_core::models::ModelTable;
use shared_core::random::Entropy;
use shared_files::Files;
use shared_http::{AppContext, HttpConfig, Tokens};
use shared_inbox::Inbox;
use shared_lambda::Tasks;
use shared_openrouter::{Catalogue, OpenRouter};
use shared_postgres::{Database, Payments};
use shared_vault::Vault;
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tokio::time::sleep;

use crate::gateway::{Mounted, gateway};
use crate::{DevMailbox, Sweeper};

/// Dependencies of the functions that are not environment variables.
#[derive(Clone, Debug)]
pub struct Wiring {
    /// The clock.
    pub clock: Clock,
    /// The random source.
    pub entropy: Entropy,
    /// Receives the login mails.
    pub mailbox: DevMailbox,
    /// The models offered.
    pub table: ModelTable,
    /// The plans with their limits.
    pub plans: Plans,
    /// Serves `POST /local/sweep`, if present.
    pub sweeper: Option<Sweeper>,
}

/// All functions on one port.
#[derive(Clone, Debug)]
pub struct Product {
    router: Router,
    tasks: Tasks,
}

impl Product {
    /// Builds the functions from the variables that each reads on Lambda.
    pub fn new(env: &Env<'_>, wiring: Wiring) -> Result<Self, ConfigError> {
        let Wiring { clock, entropy, mailbox, table, plans, sweeper } = wiring;
        let tokens = Tokens::from_env(env)?;
        let vault = Vault::from_env(env, entropy.clone())?;
        let billing = Billing::from_env(env, clock.clone(), &entropy)?;
        let app = AppContext::new(&HttpConfig::from_env(env)?, clock.clone(), entropy);
        let cache = Cache::new(&CacheConfig::from_env(env)?, clock.clone())?;
        let codes = Codes::from_env(cache.clone(), env)?;
        let database = Database::from_env(env, clock.clone())?;
        let payments = Payments::from_env(env, clock.clone())?;
        let aws = Aws::from_env(env)?;
        let inbox = Inbox::from_env(env, &aws)?;
        let files = Files::from_env(env, &aws)?;
        let openrouter = OpenRouter::from_env(env)?;
        let table = Arc::new(table);
        let catalogue = Arc::new(Catalogue::new(openrouter.clone(), Arc::clone(&table)));
        let (plans, tasks) = (Arc::new(plans), Tasks::default());

        let otp = otp::Deps {
            app: app.clone(),
            cache: cache.clone(),
            codes: codes.clone(),
            mailer: Arc::new(mailbox.clone()),
        };
        let verify = verify::Deps {
            app: app.clone(),
            tokens: tokens.clone(),
            cache: cache.clone(),
            codes,
            database: database.clone(),
        };
        let cache_at_aws = Serverless::from_env(env)?;
        let account = account::Deps {
            app: app.clone(),
            tokens: tokens.clone(),
            database: database.clone(),
            plans: Arc::clone(&plans),
            health_check: HealthCheck::new(database.clone(), cache.clone(), cache_at_aws, clock),
        };
        let models = models::Deps { app: app.clone(), catalogue: Arc::clone(&catalogue) };
        let keys = keys::Deps {
            app: app.clone(),
            tokens: tokens.clone(),
            cache: cache.clone(),
            database: database.clone(),
            openrouter: openrouter.clone(),
            vault: vault.clone(),
            plans: Arc::clone(&plans),
        };
        let orders = orders::Deps {
            app: app.clone(),
            tokens: tokens.clone(),
            cache: cache.clone(),
            database: database.clone(),
            payments: payments.clone(),
            billing,
            plans: Arc::clone(&plans),
        };
        let webhook = webhook::Deps {
            app: app.clone(),
            secrets: WebhookSecrets::from_env(env)?,
            inbox: inbox.clone(),
            payments,
        };
        let uploads = uploads(presign::Deps {
            app: app.clone(),
            tokens: tokens.clone(),
            cache: cache.clone(),
            database: database.clone(),
            files: files.clone(),
            plans: Arc::clone(&plans),
        });
        let chat_stream = chat_stream::Deps {
            app: app.clone(),
            tokens,
            cache,
            database,
            inbox: inbox.clone(),
            files,
            catalogue,
            openrouter,
            table,
            plans,
            vault,
            tasks: tasks.clone(),
            config: Arc::new(ChatConfig::from_env(env)?),
        };
        let mut functions = vec![
            Mounted { app: otp::app(otp), document: otp::openapi() },
            Mounted { app: verify::app(verify), document: verify::openapi() },
            Mounted { app: account::app(account), document: account::openapi() },
            Mounted { app: models::app(models), document: models::openapi() },
            Mounted { app: keys::app(keys), document: keys::openapi() },
            Mounted { app: orders::app(orders), document: orders::openapi() },
            Mounted { app: webhook::app(webhook), document: webhook::openapi() },
            Mounted { app: chat_stream::app(chat_stream), document: chat_stream::openapi() },
        ];
        functions.extend(uploads);
        Ok(Self { router: gateway(&app, functions, mailbox, sweeper), tasks })
    }

    /// The router, for requests without a socket.
    pub fn router(&self) -> Router {
        self.router.clone()
    }

    /// Serves on `listener` until `stop` resolves, then shuts down gracefully: accepts no new turn, gives
    /// those in flight `patience` to finish, and then closes them as interrupted.
    pub async fn serve(
        self,
        listener: TcpListener,
        stop: impl Future<Output = ()> + Send + 'static,
        patience: Duration,
    ) -> std::io::Result<()> {
        // TCP_NODELAY: otherwise the kernel holds small chunks back until the browser acknowledges (Nagle).
        let listener = listener.tap_io(|stream| drop(stream.set_nodelay(true)));
        let app = self.router.into_make_service_with_connect_info::<SocketAddr>();
        let (stopping, is_stopping) = oneshot::channel::<()>();
        let stop = async {
            stop.await;
            drop(stopping);
        };
        let serve = async {
            axum::serve(listener, app).with_graceful_shutdown(stop).await?;
            self.tasks.finish().await;
            Ok(())
        };
        let shutdown = async {
            let _ = is_stopping.await;
            sleep(patience).await;
            self.tasks.shut_down();
            std::future::pending().await
        };
        tokio::select! {
            served = serve => served,
            never = shutdown => never,
        }
    }
}

/// The functions of uploads, on the same systems.
fn uploads(presign: presign::Deps) -> [Mounted; 2] {
    let presign::Deps { app, tokens, database, files, .. } = presign.clone();
    let inspect = inspect::Deps { app, tokens, database, files };
    [
        Mounted { app: presign::app(presign), document: presign::openapi() },
        Mounted { app: inspect::app(inspect), document: inspect::openapi() },
    ]
}
