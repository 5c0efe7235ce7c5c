//! Round trips of a turn: counted, and derived from the effect of delays.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::Result;
use crate::client::{Reader, TurnTimes, chat_request};
use crate::clock::now;
use crate::proxy::{Proxy, Traffic};
use crate::script::Script;
use crate::stack::Stack;
use crate::statistics::{percentile, slope};
use crate::subject::{Process, Subject, Variables};
use crate::users::Users;

/// The delay of one direction; a round trip takes twice that.
const DELAYS_MS: [u32; 4] = [0, 2, 5, 10];

/// The percentile of a time that counts. Not the median: each hop of a proxy is a thread that has to wake up, so
/// that other load of the machine would count as round trips.
const UNDISTURBED: usize = 10;
/// How often the round-trip time is measured.
const PINGS: usize = 20;

/// The round trips of a turn.
pub(crate) struct RoundTrips {
    /// The traffic of the turn with the most of it with Postgres.
    pub(crate) database: Traffic,
    /// The traffic of the turn with the most of it with the cache.
    pub(crate) cache: Traffic,
    /// Round-trip time of both connections in milliseconds, with the time to the first word.
    pub(crate) first: Vec<(f64, f64)>,
    /// The same, with the time to the last frame.
    pub(crate) done: Vec<(f64, f64)>,
    /// The same, with the time to the end of the response.
    pub(crate) whole: Vec<(f64, f64)>,
}

impl RoundTrips {
    /// The number of sequential round trips before the first word: the slope of its time over the delay.
    pub(crate) fn before_first_word(&self) -> f64 {
        slope(&self.first)
    }

    /// The same before the last frame.
    pub(crate) fn before_last_frame(&self) -> f64 {
        slope(&self.done)
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
    let (mut first, mut done, mut whole) = (Vec::new(), Vec::new(), Vec::new());
    for delay in DELAYS_MS {
        let delay = Duration::from_millis(delay.into());
        database.delay_by(delay);
        cache.delay_by(delay);
        let there_and_back = round_trip_ms(cache.port).await?;
        let mut times = Vec::new();
        // The first few turns open connections and prepare statements.
        for turn in 0..turns + 5 {
            let before = (database.traffic(), cache.traffic());
            let request = chat_request(&users.next(), &script);
            let turn_times = reader.turn(&request, &script).await?;
            if turn < 5 {
                continue;
            }
            times.push(turn_times);
            most.0 = most.0.max(database.traffic().since(before.0));
            most.1 = most.1.max(cache.traffic().since(before.1));
        }
        let undisturbed = |of: fn(&TurnTimes) -> u64| {
            percentile(&times.iter().map(of).collect::<Vec<_>>(), UNDISTURBED) / 1e6
        };
        first.push((there_and_back, undisturbed(|turn| turn.first)));
        done.push((there_and_back, undisturbed(|turn| turn.done)));
        whole.push((there_and_back, undisturbed(|turn| turn.whole)));
    }
    Ok(RoundTrips { database: most.0, cache: most.1, first, done, whole })
}

/// The round-trip time through the proxy of the cache, measured like a turn. Longer than the delays: a thread that
/// has slept wakes up late.
async fn round_trip_ms(port: u16) -> Result<f64> {
    let mut cache = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).await?;
    let mut times = Vec::new();
    for _ in 0..PINGS {
        let asked = now();
        cache.write_all(b"PING\r\n").await?;
        cache.read_exact(&mut [0; b"+PONG\r\n".len()]).await?;
        times.push(now() - asked);
    }
    Ok(percentile(&times, UNDISTURBED) / 1e6)
}

/// `url` with another port.
fn through_port(url: &str, server: SocketAddr, port: u16) -> String {
    url.replace(&format!(":{}", server.port()), &format!(":{port}"))
}
