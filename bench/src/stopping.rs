//! How long a model goes on after somebody has asked, through another process, to stop it.

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

/// Turns that run, and are stopped, at a time.
const AT_ONCE: u32 = 10;
/// From one stop to the next: no multiple of what the product does at intervals.
const APART: Duration = Duration::from_millis(17);

const MODELS: [(&str, Script); 2] = [
    ("talks", Script::steady(500, Duration::from_millis(20))),
    // One word, and then nothing for longer than anybody waits here.
    (
        "is silent",
        Script { silence: Duration::from_millis(5), ..Script::steady(2, Duration::from_secs(20)) },
    ),
];

/// What stopping was like.
pub(crate) struct Stopped {
    /// What the model does meanwhile.
    pub(crate) model: &'static str,
    /// Nanoseconds from the request to the end of the connection to the upstream.
    pub(crate) hung_up: Vec<u64>,
    /// Nanoseconds from the request to its answer.
    pub(crate) answered: Vec<u64>,
}

/// Has `rounds` rounds of turns at `producer`, which are stopped at `elsewhere`.
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

/// When what happened.
struct Stop {
    /// The upstream received the turn's request.
    received: u64,
    /// The request to stop was sent.
    asked: u64,
    /// It was answered.
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

/// When each request's client left, by when the request was received.
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
