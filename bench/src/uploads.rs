//! How long `POST /api/uploads` takes, after which a client sends its file to the storage.

use std::time::Duration;

use crate::Result;
use crate::client::{exchange, json_request};
use crate::stack::Stack;
use crate::subject::Process;
use crate::users::Users;

/// Uploads at once, and how many a round has.
const LOADS: [(usize, usize); 2] = [(1, 200), (50, 500)];
/// Uploads that are not measured, because they open connections and prepare statements.
const WARM_UP: (usize, usize) = (50, 200);

/// A photo. Its hash only has to look like one: the file is never sent.
const DECLARATION: &str = r#"{"filename":"photo.jpg","contentType":"image/jpeg","size":3145728,
    "sha256":"9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"}"#;

/// The measurements of a number of uploads at once.
#[derive(Default)]
pub(crate) struct Declared {
    /// How many there were at once.
    pub(crate) at_once: usize,
    /// Nanoseconds to each answer.
    pub(crate) times: Vec<u64>,
    /// The product's processor time for all of them.
    pub(crate) cpu: Duration,
    /// That of Postgres in the same period.
    pub(crate) database_cpu: Duration,
}

/// Runs `rounds` rounds for each number of uploads at once, each upload another user's.
pub(crate) async fn measure(
    stack: &Stack,
    local: &Process,
    users: &Users,
    rounds: usize,
) -> Result<Vec<Declared>> {
    let a_round = |(at_once, count): (usize, usize)| async move {
        let requests: Vec<_> = (0..count)
            .map(|_| json_request("POST", "/api/uploads", &users.next(), DECLARATION))
            .collect();
        exchange(local.address, at_once, &requests, 201).await
    };
    a_round(WARM_UP).await?;
    stack.analyze().await?;
    let mut all = Vec::new();
    for load in LOADS {
        let mut found = Declared { at_once: load.0, ..Declared::default() };
        for _ in 0..rounds {
            let before = (local.cpu()?, stack.database_cpu()?);
            found.times.extend(a_round(load).await?);
            found.cpu += local.cpu()?.saturating_sub(before.0);
            found.database_cpu += stack.database_cpu()?.saturating_sub(before.1);
        }
        all.push(found);
    }
    Ok(all)
}
