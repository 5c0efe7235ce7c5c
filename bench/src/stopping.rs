//! How long a model's stream goes on after a client stopped it through another process.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::time::Duration;

use futures_util::future::try_join_all;
use tokio::time::sleep;

use crate::Result;
use crate::client::{Reader, chat_request, find, stop_request};
use crate::clock::now;
use crate::script::{Script, Stamp};
use crate::upstream::{DEPARTURES, message_length};
use crate::users::{User, Users};

/// Concurrent turns, each of which is stopped.
const AT_ONCE: u32 = 10;
/// The interval between two stops: no multiple of the product's own intervals.
const APART: Duration = Duration::from_millis(17);

const MODELS: [(&str, Script); 2] = [
    ("talks", Script::steady(500, Duration::from_millis(20))),
    // One word, and then silence for longer than the bench runs.
    (
        "is silent",
        Script { silence: Duration::from_millis(5), ..Script::steady(2, Duration::from_secs(20)) },
    ),
];

/// The measurements of stopping.
pub(crate) struct Stopped {
    /// What the model does when it is stopped.
    pub(crate) model: &'static str,
    /// Nanoseconds from the request to the end of the upstream's connection.
    pub(crate) hung_up: Vec<u64>,
    /// Nanoseconds from the request to its response.
    pub(crate) answered: Vec<u64>,
}

/// Runs `rounds` rounds of turns at `producer` and stops them at `elsewhere`.
pub(crate) async fn measure(
    producer: SocketAddr,
    elsewhere: SocketAddr,
    upstream: SocketAddr,
    users: &Users,
    rounds: usize,
) -> Result<Vec<Stopped>> {
    let mut all = Vec::new();
    for (model, script) in MODELS {
        let mut stopped = Stopped { model, hung_up: Vec::new(), answered: Vec::new() };
        for _ in 0..rounds {
            let stops = (0..AT_ONCE)
                .map(|number| stop(producer, elsewhere, users.next(), script, APART * number));
            let stops = try_join_all(stops).await?;
            let departures = departures(upstream).await?;
            for Stop { received, asked, answered } in stops {
                let gone =
                    departures.get(&received).ok_or("the upstream did not see a client go")?;
                stopped.hung_up.push(gone.saturating_sub(asked));
                stopped.answered.push(answered - asked);
            }
        }
        all.push(stopped);
    }
    Ok(all)
}

/// The times of one stop.
struct Stop {
    /// When the upstream received the turn's request.
    received: u64,
    /// When the request to stop was sent.
    asked: u64,
    /// When it was answered.
    answered: u64,
}

async fn stop(
    producer: SocketAddr,
    elsewhere: SocketAddr,
    user: User<'_>,
    script: Script,
    after: Duration,
) -> Result<Stop> {
    let mut reader = Reader::connect(producer).await?;
    let mut stopper = Reader::connect(elsewhere).await?;
    reader.ask(&chat_request(&user, &script)).await?;
    let (first, _) = reader.until(Stamp::find).await?;
    sleep(after).await;
    let asked = stopper.ask(&stop_request(&user)).await?;
    stopper.until(|answer| find(answer, br#""ended":true"#)).await?;
    let answered = now();
    reader.until(|answer| find(answer, br#""type":"abort""#)).await?;
    Ok(Stop { received: first.received, asked, answered })
}

/// When the client of each request disconnected, by the time at which the request was received.
async fn departures(upstream: SocketAddr) -> Result<HashMap<u64, u64>> {
    let mut reader = Reader::connect(upstream).await?;
    reader.ask(DEPARTURES).await?;
    let answer = reader
        .until(|answer| {
            let length = message_length(answer).filter(|length| *length <= answer.len())?;
            Some(answer[..length].to_vec())
        })
        .await?;
    let mut departures = HashMap::new();
    let mut rest = &answer[..];
    while let Some((Stamp { received, sent: gone }, end)) = Stamp::find(rest) {
        departures.insert(received, gone);
        rest = &rest[end..];
    }
    Ok(departures)
}
