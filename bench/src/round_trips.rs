//! Round trips of a turn: counted, and derived from the effect of delays.

use std::net::SocketAddr;
use std::time::Duration;

use crate::Result;
use crate::client::{Reader, chat_request};
use crate::proxy::{Proxy, Traffic};
use crate::script::Script;
use crate::stack::Stack;
use crate::statistics::{percentile, slope};
use crate::subject::{Process, Subject, Variables};
use crate::users::Users;

/// The delay of one direction; a round trip takes twice that.
const DELAYS_MS: [u32; 4] = [0, 2, 5, 10];

/// The round trips of a turn.
pub(crate) struct RoundTrips {
    /// The traffic of the turn with the most of it with Postgres.
    pub(crate) database: Traffic,
    /// The traffic of the turn with the most of it with the cache.
    pub(crate) cache: Traffic,
    /// Round-trip time of both connections in milliseconds, with the median time to the first word.
    pub(crate) first: Vec<(f64, f64)>,
}

impl RoundTrips {
    /// The number of sequential round trips before the first word: the slope of its time over the delay.
    pub(crate) fn in_a_row(&self) -> f64 {
        slope(&self.first)
    }
}

/// Puts a proxy into both connections of a separate product, and runs `turns` turns for each measurement.
pub(crate) async fn measure(
    stack: &Stack,
    variables: &Variables,
    users: &Users,
    turns: usize,
) -> Result<RoundTrips> {
    let database = Proxy::start(stack.database_address())?;
    let cache = Proxy::start(stack.cache_address())?;
    stack.announce_cache_at(cache.port)?;
    let variables = variables
        .iter()
        .map(|(name, value)| match *name {
            "DATABASE_URL" => (*name, through_port(value, stack.database_address(), database.port)),
            "CACHE_URL" => (*name, through_port(value, stack.cache_address(), cache.port)),
            _ => (*name, value.clone()),
        })
        .collect();
    let process = Process::start(Subject::Local, &variables).await?;
    let result = through(&process, &database, &cache, users, turns).await;
    stack.announce_cache_at(0)?;
    result
}

async fn through(
    process: &Process,
    database: &Proxy,
    cache: &Proxy,
    users: &Users,
    turns: usize,
) -> Result<RoundTrips> {
    let script = Script::steady(2, Duration::from_millis(1));
    let mut reader = Reader::connect(process.address).await?;
    let mut most = (Traffic::NONE, Traffic::NONE);
    let mut first = Vec::new();
    for delay in DELAYS_MS {
        let delay = Duration::from_millis(delay.into());
        database.delay_by(delay);
        cache.delay_by(delay);
        let mut times = Vec::new();
        // The first few turns open connections and prepare statements.
        for turn in 0..turns + 5 {
            let before = (database.traffic(), cache.traffic());
            let request = chat_request(&users.next(), &script);
            let turn_times = reader.turn(&request, &script).await?;
            if turn < 5 {
                continue;
            }
            times.push(turn_times.first);
            most.0 = most.0.max(database.traffic().since(before.0));
            most.1 = most.1.max(cache.traffic().since(before.1));
        }
        let there_and_back = 2e3 * delay.as_secs_f64();
        first.push((there_and_back, percentile(&times, 50) / 1e6));
    }
    Ok(RoundTrips { database: most.0, cache: most.1, first })
}

/// `url` with another port.
fn through_port(url: &str, server: SocketAddr, port: u16) -> String {
    url.replace(&format!(":{}", server.port()), &format!(":{port}"))
}
