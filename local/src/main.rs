//! `make dev`: starts the servers and the product, prints the URL, and stops everything at Ctrl-C.

#![expect(clippy::print_stdout, reason = "a program at a terminal talks to its user")]

mod object_storage;
mod payment_provider;

use std::collections::HashMap;
use std::fs::{self, OpenOptions};
use std::io::{ErrorKind, Write};
use std::net::{Ipv4Addr, SocketAddr};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use fake_openrouter::FakeOpenRouter;
use local::{DevMailbox, Product, Sweeper, Wiring};
use local_dynamodb::{DynamoDbError, LocalDynamoDb};
use local_s3::LocalS3Error;
use local_stack::{Servers, Settings, StackError};
use shared_aws::Aws;
use shared_cache::{Cache, CacheConfig};
use shared_cashfree::Cashfree;
use shared_core::billing::Plans;
use shared_core::env::{ConfigError, Env};
use shared_core::models::ModelTable;
use shared_core::random::Entropy;
use shared_files::Files;
use shared_inbox::InboxConfig;
use shared_lambda::{begin_logging, process_env, system_clock, system_entropy};
use shared_openrouter::{OpenRouter, OpenRouterConfig};
use shared_postgres::{DatabaseConfig, Destructive, Jobs, MigrateError, migrate};
use shared_vault::{Vault, VaultConfig};
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use uuid::Uuid;

use crate::object_storage::ObjectStorage;
use crate::payment_provider::PaymentProvider;

/// Grace period for turns in flight after Ctrl-C. Those that are not finished by then are stored as
/// interrupted with the text they have, for which they get as long again.
const PATIENCE: Duration = Duration::from_secs(10);
/// The interval between two runs of the sweep.
const SWEEP_EVERY: Duration = Duration::from_mins(1);

fn main() -> ExitCode {
    begin_logging(false);
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return failure(&error.into()),
    };
    match runtime.block_on(run(&process_env())) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => failure(&error),
    }
}

fn failure(error: &LocalError) -> ExitCode {
    println!("\n{error}");
    ExitCode::FAILURE
}

/// Why the product cannot start.
#[derive(Debug, thiserror::Error)]
enum LocalError {
    #[error(transparent)]
    Config(#[from] ConfigError),
    #[error(transparent)]
    Stack(#[from] StackError),
    #[error(transparent)]
    DynamoDb(#[from] DynamoDbError),
    #[error(transparent)]
    S3(#[from] LocalS3Error),
    #[error(
        "{0}: another version of the product has made what lies in .local/dev. Run `make dev-reset`, which deletes it, and start again"
    )]
    OtherVersion(MigrateError),
    #[error(transparent)]
    Migrate(MigrateError),
    #[error(
        "port {port} cannot be had ({source}): stop what listens there (`ss -ltnp` names it), or set {variable}"
    )]
    Port { port: u16, variable: &'static str, source: std::io::Error },
    #[error("cannot keep the secrets of this machine in {}: {source}", path.display())]
    Secrets { path: PathBuf, source: std::io::Error },
    #[error(transparent)]
    Io(#[from] std::io::Error),
}

impl From<MigrateError> for LocalError {
    fn from(error: MigrateError) -> Self {
        if matches!(error, MigrateError::Diverged(_)) {
            Self::OtherVersion(error)
        } else {
            Self::Migrate(error)
        }
    }
}

async fn run(env: &Env<'_>) -> Result<(), LocalError> {
    let began = Instant::now();
    let port = env.parsed("PORT", 3000)?;
    let settings = Settings::from_env(env)?;
    let secrets = Secrets::kept_in(&settings.local_dir, &system_entropy())?;
    // Binds the port first: if it is taken, no server is started in vain.
    let listener = listen(port, "PORT").await?;

    println!("starting postgres and valkey …");
    let servers = Servers::start(settings).await?;
    let result = serve(env, &servers, secrets, listener, began).await;
    servers.stop().await;
    println!("stopped");
    result
}

async fn serve(
    env: &Env<'_>,
    servers: &Servers,
    secrets: Secrets,
    listener: TcpListener,
    began: Instant,
) -> Result<(), LocalError> {
    migrate(&DatabaseConfig::at(servers.database_owner_url()), Destructive::Refused).await?;
    let upstream = Upstream::choose(env).await?;
    let origin = format!("http://localhost:{}", listener.local_addr()?.port());

    let mut variables = HashMap::from([
        ("APP_ORIGIN", origin.clone()),
        ("DATABASE_URL", servers.database_url().to_owned()),
        ("MONEY_DATABASE_URL", servers.database_owner_url().to_owned()),
        ("CACHE_URL", servers.cache_url().to_owned()),
        ("DATABASE_POOL_SIZE", "16".to_owned()),
        ("SESSION_KEYS", secrets.session_keys),
        ("LOGIN_PEPPER", secrets.login_pepper),
        ("VAULT_KEYS", secrets.vault_keys),
    ]);
    variables.extend(upstream.variables());
    let provider = PaymentProvider::choose(env, &origin, servers.directory()).await?;
    variables.extend(provider.variables());
    // Starts no local DynamoDB where `INBOX_TABLE` names a table. It is dropped before the servers, whose
    // directory it shares.
    let dynamodb = match env.optional("INBOX_TABLE") {
        Some(_) => None,
        None => Some(LocalDynamoDb::keeping(&servers.directory().join("dynamodb.sqlite")).await?),
    };
    variables.extend(dynamodb.iter().flat_map(LocalDynamoDb::variables));
    let storage = ObjectStorage::choose(env, &origin, servers.directory()).await?;
    variables.extend(storage.variables());
    // The environment overrides the defaults above.
    let env = Env::new(|name| env.optional(name).or_else(|| variables.get(name).cloned()));

    let clock = system_clock();
    let mailbox =
        DevMailbox::new(clock.clone(), Some(|to, code| println!("login code for {to}: {code}")));
    let table = ModelTable::parse(upstream.table())?;
    let plans = Plans::compiled_in()?;
    let entropy = system_entropy();
    let owner = DatabaseConfig::at(servers.database_owner_url());
    let sweeper = Sweeper::new(sweep::Deps {
        jobs: Jobs::new(&owner, clock.clone())?,
        vault: Vault::new(&VaultConfig::from_env(&env)?, entropy.clone()),
        cache: Cache::new(&CacheConfig::from_env(&env)?, clock.clone())?,
        inbox: shared_inbox::Inbox::new(&InboxConfig::from_env(&env)?, &Aws::from_env(&env)?),
        files: Files::from_env(&env, &Aws::from_env(&env)?)?,
        cashfree: Cashfree::from_env(&env, clock.clone())?,
        openrouter: OpenRouter::new(&OpenRouterConfig::from_env(&env)?)?,
        clock: clock.clone(),
        entropy: entropy.clone(),
    });
    let sweeping = sweeper.clone();
    let wiring = Wiring { clock, entropy, mailbox, table, plans, sweeper: Some(sweeper) };
    let product = Product::new(&env, wiring)?;
    greet(&origin, &upstream, &provider, began);

    let mut hung_up = signal(SignalKind::terminate())?;
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let serving = product.serve(listener, async { drop(stopped.await) }, PATIENCE);
    tokio::pin!(serving);
    tokio::select! {
        result = &mut serving => return Ok(result?),
        never = sweeping.every(SWEEP_EVERY) => match never {},
        _ = tokio::signal::ctrl_c() => {}
        _ = hung_up.recv() => {}
    }
    println!("stopping; answers in flight get {} s …", PATIENCE.as_secs());
    drop(stop);
    tokio::select! {
        result = tokio::time::timeout(2 * PATIENCE, serving) => match result {
            Ok(served) => Ok(served?),
            Err(_) => Ok(()),
        },
        _ = tokio::signal::ctrl_c() => Ok(()),
    }
}

fn greet(origin: &str, upstream: &Upstream, provider: &PaymentProvider, began: Instant) {
    let models = match upstream {
        Upstream::Fake(_) => {
            "a stand-in that repeats what it is asked (OPENROUTER_API_KEY=… for real ones)"
        }
        Upstream::Other => "as OPENROUTER_BASE_URL answers",
        Upstream::Real => "OpenRouter's, on your OPENROUTER_API_KEY (models.toml says which)",
    };
    println!(
        "\n  {origin}   (ready after {:.1} s)\n\n  \
         log in   POST /api/auth/otp with any address; the code appears here and at {origin}/local/inbox\n  \
         models   {models}\n  \
         plans    {provider}\n  \
         stop     Ctrl-C; the data stays in .local/ (make dev-reset deletes it)\n",
        began.elapsed().as_secs_f64(),
    );
}

/// Which server plays `OpenRouter`.
enum Upstream {
    /// The fake, in this process.
    Fake(FakeOpenRouter),
    /// Another server with `OpenRouter`'s API.
    Other,
    /// `OpenRouter` itself.
    Real,
}

/// The fake accepts any key of this form.
const FAKE_KEY: &str = "sk-or-v1-local";

impl Upstream {
    async fn choose(env: &Env<'_>) -> Result<Self, LocalError> {
        if env.optional("OPENROUTER_BASE_URL").is_some() {
            return Ok(Self::Other);
        }
        if env.optional("OPENROUTER_API_KEY").is_some() {
            return Ok(Self::Real);
        }
        let variable = "LOCAL_OPENROUTER_PORT";
        let port = env.parsed(variable, 28080)?;
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        let fake = FakeOpenRouter::start_on(address).await;
        fake.map(Self::Fake).map_err(|source| LocalError::Port { port, variable, source })
    }

    fn variables(&self) -> Vec<(&'static str, String)> {
        let base_url = match self {
            Self::Fake(fake) => Some(("OPENROUTER_BASE_URL", fake.base_url())),
            Self::Other | Self::Real => None,
        };
        // Without a key, the upstream gets the fake's.
        base_url.into_iter().chain([("OPENROUTER_API_KEY", FAKE_KEY.to_owned())]).collect()
    }

    fn table(&self) -> &'static str {
        match self {
            Self::Fake(_) | Self::Other => include_str!("../models.toml"),
            Self::Real => include_str!("../../models.toml"),
        }
    }
}

async fn listen(port: u16, variable: &'static str) -> Result<TcpListener, LocalError> {
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    TcpListener::bind(address).await.map_err(|source| LocalError::Port { port, variable, source })
}

/// This machine's secrets, generated at the first start: sessions and stored API keys survive a restart,
/// and no secret is in the repository.
struct Secrets {
    session_keys: String,
    login_pepper: String,
    vault_keys: String,
}

impl Secrets {
    fn kept_in(local_dir: &Path, entropy: &Entropy) -> Result<Self, LocalError> {
        let half = || Uuid::from_bytes(entropy.bytes()).simple();
        let secret = || format!("{}{}", half(), half()); // 64 hex digits

        let path = local_dir.join("dev-secrets");
        let logins = kept_in(&path, || format!("local:{}\n{}\n", secret(), secret()))?;
        let Some((session_keys, login_pepper)) = logins.trim().split_once('\n') else {
            let source = std::io::Error::other("it has two lines, or should be deleted");
            return Err(LocalError::Secrets { path, source });
        };
        let vault_keys = local_dir.join("dev-vault-keys");
        kept_in(&vault_keys, || format!("local-1:{}\n", secret()))?;
        Ok(Self {
            session_keys: session_keys.to_owned(),
            login_pepper: login_pepper.to_owned(),
            vault_keys: format!("file:{}", vault_keys.display()),
        })
    }
}

/// Returns the content of `path`, or writes what `make` generates if the file is missing or empty.
fn kept_in(path: &Path, make: impl FnOnce() -> String) -> Result<String, LocalError> {
    let failed = |source| LocalError::Secrets { path: path.to_owned(), source };
    match fs::read_to_string(path) {
        Ok(kept) if !kept.trim().is_empty() => return Ok(kept),
        Ok(_) => {}
        Err(error) if error.kind() == ErrorKind::NotFound => {}
        // Never overwrites a file that may hold a key.
        Err(error) => return Err(failed(error)),
    }
    if let Some(directory) = path.parent() {
        fs::create_dir_all(directory).map_err(failed)?;
    }
    let made = make();
    let mut options = OpenOptions::new();
    let file = options.write(true).create(true).truncate(true).mode(0o600).open(path);
    file.and_then(|mut file| file.write_all(made.as_bytes())).map_err(failed)?;
    Ok(made)
}
