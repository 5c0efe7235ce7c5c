//! SQL functions, one file each, in their current text.
//!
//! After the numbered migrations, each function whose text has changed is replaced, all in one transaction. While a
//! deployment runs, functions of the release before are still called: `create or replace` keeps a signature callable,
//! and a changed signature is a second function beside the first, which the release after drops in a migration.

use std::collections::HashMap;

use sha2::{Digest, Sha256};
use tokio_postgres::{Client, Error};

macro_rules! functions {
    ($($name:literal),+ $(,)?) => {
        [$(($name, include_str!(concat!("../../functions/", $name, ".sql")))),+]
    };
}

/// Name and text, each after the ones that it needs when it is created.
const FUNCTIONS: [(&str, &str); 36] = functions![
    "valid_session",
    "enter_session",
    "sign_in",
    "add_data_key",
    "deny_payment",
    "reserve_credits",
    "current_period",
    "current_allowances",
    "deny_for_credits",
    "month_end",
    "spent_by_byok",
    "free_upload",
    "without_file",
    "delete_upload",
    "reserve_upload",
    "attach_files",
    "link_files",
    "store_turn",
    "pay_for_turn",
    "free_idempotency_key",
    "queue_turns",
    "turn_inputs",
    "turn_context",
    "predict_turn",
    "begin_turn",
    "keep_longer_parts",
    "add_byok_spending",
    "backfill_turn_usage",
    "end_turn",
    "finish_turn",
    "backfill_usage",
    "withdraw_turn",
    "restore_turn",
    "rehearse_turn",
    "create_order",
    "fulfil_order",
];

/// The hashes of the functions that a database has.
const APPLIED: &str = "
    create table if not exists sql_functions (
      name  text primary key,
      hash  text not null
    )";

/// Replaces the functions whose text is not the database's. Returns their names.
pub(super) async fn apply(client: &mut Client) -> Result<Vec<&'static str>, Error> {
    client.batch_execute(APPLIED).await?;
    let rows = client.query("select name, hash from sql_functions", &[]).await?;
    let known: HashMap<String, String> =
        rows.iter().map(|row| (row.get("name"), row.get("hash"))).collect();
    let transaction = client.transaction().await?;
    let mut applied = Vec::new();
    for (name, text) in FUNCTIONS {
        let hash = hash(text);
        if known.get(name) == Some(&hash) {
            continue;
        }
        transaction.batch_execute(text).await?;
        transaction
            .execute(
                "insert into sql_functions (name, hash) values ($1, $2)
                 on conflict (name) do update set hash = excluded.hash",
                &[&name, &hash],
            )
            .await?;
        applied.push(name);
    }
    transaction.commit().await?;
    Ok(applied)
}

/// Adds all functions to a hash of the schema.
pub(super) fn add_to(schema: &mut Sha256) {
    for (name, text) in FUNCTIONS {
        schema.update(name);
        schema.update(text);
    }
}

fn hash(text: &str) -> String {
    hex::encode(Sha256::digest(text))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_file_is_applied_and_holds_the_function_that_it_is_named_after() {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/functions");
        let mut files: Vec<_> = std::fs::read_dir(folder)
            .unwrap()
            .map(|file| file.unwrap().file_name().into_string().unwrap())
            .collect();
        files.sort_unstable();
        let mut names = FUNCTIONS.map(|(name, _)| format!("{name}.sql"));
        names.sort_unstable();
        assert_eq!(files, names);
        for (name, text) in FUNCTIONS {
            assert_eq!(text.matches("create or replace function ").count(), 1, "{name}");
            assert!(text.contains(&format!("create or replace function {name}(")), "{name}");
        }
    }
}
