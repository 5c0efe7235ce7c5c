//! The peer: the same turn in a monolith on Bun and Hono (`bench/peers/bun`).

use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use tokio::process::Command;

use crate::Result;
use crate::client::{Reader, chat_request, find};
use crate::script::Script;
use crate::stack::{Stack, local_dir};
use crate::users::Users;

/// Its tables, in a schema of its own; run once by the owner of the database.
const SCHEMA: &str = include_str!("../peers/bun/schema.sql");
/// Its users, which are the product's; run once they are signed in.
const USERS: &str = include_str!("../peers/bun/users.sql");

/// Creates its tables and users.
pub(crate) async fn prepare(stack: &Stack) -> Result<()> {
    stack.run_as_owner(SCHEMA).await?;
    stack.run_as_owner(USERS).await
}

/// Its process, in an empty environment.
pub(crate) fn command() -> Result<Command> {
    let bun = local_dir()?.join("bin/bun").canonicalize();
    let bun = bun.map_err(|error| format!("bun is not installed (local/install bun): {error}"))?;
    // Beside the installed `node_modules`, where Bun looks for packages.
    let directory = bun.with_file_name("peer");
    fs::create_dir_all(&directory)?;
    for file in fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("peers/bun"))? {
        let file = file?;
        if file.file_type()?.is_file() {
            fs::copy(file.path(), directory.join(file.file_name()))?;
        }
    }
    let mut command = Command::new(&bun);
    command
        .env_clear()
        // Never downloads what is missing.
        .arg("--no-install")
        .arg(directory.join("server.ts"))
        .env("NODE_ENV", "production")
        // By default no more than 256 requests to the model at once; more would wait for each other.
        .env("BUN_CONFIG_MAX_HTTP_REQUESTS", "4096");
    Ok(command)
}

/// Fails unless a turn answers with all of the model's text, stores that, and reserves a credit: a peer that
/// does less would be compared all the same.
pub(crate) async fn verify(address: SocketAddr, users: &Users, stack: &Stack) -> Result<()> {
    let script = Script::steady(20, Duration::from_millis(1));
    let mut reader = Reader::connect(address).await?;
    reader.turn(&chat_request(&users.next(), &script), &script).await?;
    let is_framed = |frame: &[u8]| reader.answer(|answer| find(answer, frame)).is_some();
    if !is_framed(br#""type":"text-delta""#) || !is_framed(br#""type":"finish""#) {
        return Err("the peer does not answer in the AI SDK's frames".into());
    }
    let stored = "
        select from peer_bun.messages m
          join peer_bun.turns t on t.answer_id = m.id and t.state = 'settled'
          join peer_bun.credits c on c.user_id = m.user_id and c.balance = 999999
         where m.status = 'complete' and length(m.content) - length(replace(m.content, '@', '')) = 20
           and m.completion_tokens > 0";
    match stack.rows_as_owner(stored).await? {
        1 => Ok(()),
        _ => Err("the peer does not store what a turn has to".into()),
    }
}
