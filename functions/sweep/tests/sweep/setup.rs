//! A database, vaults, users with their own keys (BYOK), and turns that have begun.

use std::fs;
use std::path::Path;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use fake_aws::FakeAws;
use secrecy::{ExposeSecret, SecretString};
use shared_core::clock::Clock;
use shared_core::env::Env;
use shared_core::identity::Session;
use shared_core::ids::UserId;
use shared_core::keys::DataKeyId;
use shared_lambda::system_entropy;
use shared_postgres::{BegunTurn, DatabaseConfig, Jobs};
use shared_vault::{Vault, VaultConfig};
use sweep::{Deps, SweepReport, sweep};
use testkit::{TestStack, next_turn};
use tokio::sync::Notify;

/// Lines of a file of master keys.
pub(crate) const A: &str = "a:00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff";
pub(crate) const B: &str = "b:ffeeddccbbaa99887766554433221100ffeeddccbbaa99887766554433221100";

/// More time than any of these runs takes.
pub(crate) const AMPLE: Duration = Duration::from_secs(45);

/// At noon, so that no test crosses a midnight.
pub(crate) async fn stack() -> TestStack {
    let stack = TestStack::start().await;
    stack.clock.set("2026-03-14T12:00:00Z".parse().unwrap());
    stack
}

/// A vault whose keys are in a file, the current one first.
pub(crate) fn vault(lines: &[&str]) -> Vault {
    static MADE: AtomicU64 = AtomicU64::new(0);
    let name = format!("keys-{}-{}", std::process::id(), MADE.fetch_add(1, Ordering::Relaxed));
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    fs::write(&path, lines.join("\n")).unwrap();
    let variable = format!("file:{}", path.display());
    let env = Env::new(|name| (name == "VAULT_KEYS").then(|| variable.clone()));
    let vault = Vault::new(&VaultConfig::from_env(&env).unwrap(), system_entropy());
    fs::remove_file(path).unwrap();
    vault
}

/// A vault whose keys are in KMS.
pub(crate) fn kms_vault(aws: &FakeAws, arns: &[&str]) -> Vault {
    let variables = aws.variables();
    let env = Env::new(|name| match name {
        "VAULT_KEYS" => Some(arns.join(" ")),
        _ => variables.iter().find(|(key, _)| *key == name).map(|(_, value)| value.clone()),
    });
    Vault::new(&VaultConfig::from_env(&env).unwrap(), system_entropy())
}

pub(crate) fn jobs(stack: &TestStack) -> Jobs {
    Jobs::new(&DatabaseConfig::at(&stack.owner_url()), stack.clock.clock()).unwrap()
}

/// Dependencies of a separate process.
pub(crate) fn deps(stack: &TestStack, vault: Vault) -> Deps {
    with_clock(stack, vault, stack.clock.clock())
}

pub(crate) fn with_clock(stack: &TestStack, vault: Vault, clock: Clock) -> Deps {
    Deps {
        jobs: jobs(stack),
        vault,
        cache: stack.cache(),
        inbox: stack.inbox(),
        files: stack.files(),
        cashfree: stack.cashfree_client(),
        openrouter: stack.openrouter(),
        clock,
        entropy: system_entropy(),
    }
}

/// One whole run.
pub(crate) async fn swept(stack: &TestStack, vault: Vault) -> SweepReport {
    sweep(&deps(stack, vault), AMPLE).await.unwrap()
}

/// Inserts `count` new users, whose keys are encrypted by `vault`.
pub(crate) async fn bring_keys(stack: &TestStack, vault: &Vault, count: usize) -> Vec<UserId> {
    let (owner, entropy, now) = (stack.owner().await, system_entropy(), stack.clock.now());
    let data_key = vault.new_data_key(DataKeyId(entropy.uuid(now))).await.unwrap();
    let data_key = jobs(stack).add_data_key(&data_key, now).await.unwrap();
    let new_user =
        "insert into users (id, email, created_at) values ($1, $1::uuid || '@example.com', $2)";
    let new_key = "
        insert into provider_keys (user_id, data_key, nonce, ciphertext, masked, policy, usage_nano_usd, checked_at)
        values ($1, $2, $3, $4, 'sk-or-v1-…', 'always', 0, $5)";
    let (new_user, new_key) =
        (owner.prepare(new_user).await.unwrap(), owner.prepare(new_key).await.unwrap());
    let mut users = Vec::new();
    for _ in 0..count {
        let user = UserId(entropy.uuid(now));
        owner.execute(&new_user, &[&user.0, &now]).await.unwrap();
        let sealed = vault.seal(&data_key, user, &secret_of(user)).await.unwrap();
        let (nonce, text) = (sealed.nonce.as_slice(), sealed.ciphertext);
        owner.execute(&new_key, &[&user.0, &sealed.data_key.0, &nonce, &text, &now]).await.unwrap();
        users.push(user);
    }
    users
}

fn secret_of(user: UserId) -> SecretString {
    format!("sk-or-v1-{user}").into()
}

/// How many users' keys `vault` decrypts to the key that the user has stored.
pub(crate) async fn opened(stack: &TestStack, vault: &Vault) -> usize {
    let (jobs, mut after, mut count) = (jobs(stack), None, 0);
    loop {
        // No key is under this master key, so all keys are returned.
        let page = jobs.keys_to_rotate("none", after).await.unwrap();
        let Some(last) = page.last() else { return count };
        after = Some(last.user);
        for stored in &page {
            let key = &stored.key;
            let secret = vault.open(&key.data_key, stored.user, &key.sealed).await;
            count += usize::from(secret.is_ok_and(|secret| {
                secret.expose_secret() == secret_of(stored.user).expose_secret()
            }));
        }
    }
}

/// The master keys that have data keys.
pub(crate) async fn masters(stack: &TestStack) -> Vec<String> {
    let sql = "select master from data_keys order by master";
    let rows = stack.owner().await.query(sql, &[]).await.unwrap();
    rows.iter().map(|row| row.get(0)).collect()
}

pub(crate) async fn count(stack: &TestStack, sql: &str) -> i64 {
    stack.owner().await.query_one(sql, &[]).await.unwrap().get(0)
}

/// A turn in a chat of its own. The number names them.
pub(crate) async fn begun(stack: &TestStack, session: &Session, number: usize) -> BegunTurn {
    let turn = next_turn(&format!("chat-{number:04}"), number);
    let (database, now) = (stack.database(), stack.clock.now());
    database.request(session, now).begin_turn(&turn, &stack.plans(), None).await.unwrap()
}

/// Text, one row and column.
pub(crate) async fn said(stack: &TestStack, sql: &str) -> String {
    stack.owner().await.query_one(sql, &[]).await.unwrap().get(0)
}

/// Runs until the clock has been read `looks` times, and is killed in the step after that.
pub(crate) async fn killed(stack: &TestStack, vault: Vault, looks: usize) {
    let (over, looked) = (Arc::new(Notify::new()), AtomicUsize::new(0));
    let (now, say) = (stack.clock.clone(), Arc::clone(&over));
    let clock = Clock::new(move || {
        if looked.fetch_add(1, Ordering::Relaxed) == looks {
            say.notify_one();
        }
        now.now()
    });
    let deps = with_clock(stack, vault, clock);
    let mut run = pin!(sweep(&deps, AMPLE));
    tokio::select! {
        biased;
        () = over.notified() => {}
        swept = &mut run => panic!("it has ended: {swept:?}"),
    }
}
