//! How the beginning of a turn slows down while a history grows.
//!
//! In a database of its own, whose tables autovacuum does not touch: first never analysed, on connections whose
//! plans were made while the tables were empty; then analysed, on new connections.

use std::time::Duration;

use shared_core::env::Env;

use crate::Result;
use crate::client::{Reader, chat_request, find, key_request};
use crate::script::Script;
use crate::stack::{CREDITS_FOR_EVERY_USER, Stack};
use crate::statistics::percentile;
use crate::subject::{Process, Subject, Variables};
use crate::users::Users;

/// What grows, with the index of a user at its beginning and of one at its end.
const PAIRS: [(&str, usize, usize); 3] = [
    ("chat of 10 → 10,000 messages", 0, 1),
    ("user of 0 → 100,000 turns", 2, 3),
    ("the same, own key with a cap", 4, 5),
];
/// The users with an own key.
const OWN_KEY: [usize; 2] = [4, 5];
const HISTORIES: &str = include_str!("growth.sql");
const NEVER_ANALYSED: &str = "
    do $$
    declare
      name text;
    begin
      for name in select tablename from pg_tables where schemaname = 'public' loop
        execute format('alter table %I set (autovacuum_enabled = false)', name);
      end loop;
    end
    $$";

/// Turns of each user in a row, below the rate limit of 60 turns a minute.
const IN_A_ROW: usize = 50;
/// Turns of each user that are not measured, because they open connections.
const WARM_UP: usize = 5;

/// The growth of one history.
pub(crate) struct Growth {
    /// What has grown.
    pub(crate) what: &'static str,
    /// Whether the tables were analysed.
    pub(crate) analysed: bool,
    /// The median time to the first word at the beginning and at the end, in milliseconds.
    pub(crate) first: (f64, f64),
}

/// Runs `rounds` rounds of turns for each user.
pub(crate) async fn measure(
    stack: &Stack,
    variables: &Variables,
    rounds: usize,
) -> Result<Vec<Growth>> {
    let database = stack.create_database("growth").await?;
    database.run_as_owner(NEVER_ANALYSED).await?;
    let mut variables = variables.clone();
    for (name, value) in &mut variables {
        match *name {
            "DATABASE_URL" => value.clone_from(&database.url),
            // All turns on the connection whose plans are to be tested.
            "DATABASE_POOL_SIZE" => "1".clone_into(value),
            _ => {}
        }
    }
    let env = Env::new(|name| {
        let mut all = variables.iter();
        all.find(|(variable, _)| *variable == name).map(|(_, value)| value.clone())
    });
    let users = Users::sign_in(2 * PAIRS.len(), &env).await?;
    database.run_as_owner(CREDITS_FOR_EVERY_USER).await?;

    let mut all = Vec::new();
    let old = Process::start(Subject::Local, &variables).await?;
    for number in OWN_KEY {
        let mut reader = Reader::connect(old.address).await?;
        reader.ask(&key_request(&users.user(number))).await?;
        reader.until(|answer| find(answer, br#""masked":"#)).await?;
    }
    // Plans are made on empty tables, and kept.
    let mut reader = Reader::connect(old.address).await?;
    for _ in 0..WARM_UP {
        let user = users.user(2);
        reader.turn(&chat_request(&user, &SCRIPT), &SCRIPT).await?;
    }
    database.run_as_owner(HISTORIES).await?;
    all.extend(compare(stack, &old, &users, rounds, false).await?);
    drop(old);
    database.run_as_owner("analyze").await?;
    let new = Process::start(Subject::Local, &variables).await?;
    all.extend(compare(stack, &new, &users, rounds, true).await?);
    Ok(all)
}

/// The model answers at once, so that the time to the first word includes all of the turn's beginning.
const SCRIPT: Script = Script::steady(2, Duration::ZERO);

/// Turns of all users in rotation, so that other load of the machine affects all of them alike.
async fn compare(
    stack: &Stack,
    process: &Process,
    users: &Users,
    rounds: usize,
    analysed: bool,
) -> Result<Vec<Growth>> {
    let mut reader = Reader::connect(process.address).await?;
    let mut times = vec![Vec::new(); users.count()];
    for _ in 0..rounds {
        stack.empty_cache()?;
        for turn in 0..WARM_UP + IN_A_ROW {
            for (number, times) in times.iter_mut().enumerate() {
                let request = chat_request(&users.user(number), &SCRIPT);
                let first = reader.turn(&request, &SCRIPT).await?.first;
                if turn >= WARM_UP {
                    times.push(first);
                }
            }
        }
    }
    let median = |number: usize| percentile(&times[number], 50) / 1e6;
    let found = PAIRS.into_iter().map(|(what, short, long)| Growth {
        what,
        analysed,
        first: (median(short), median(long)),
    });
    Ok(found.collect())
}
