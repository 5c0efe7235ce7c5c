//! How late chunks reach clients that follow (resume) a turn through another process, as on another Lambda.

use std::net::SocketAddr;
use std::time::Duration;

use futures_util::future::try_join_all;
use tokio::try_join;

use crate::Result;
use crate::client::{Reader, chat_request, find, follow_request};
use crate::script::Script;
use crate::users::Users;

/// The numbers of clients that follow the same turn.
const FOLLOWERS: [usize; 2] = [1, 50];

/// A model that is silent until all clients follow, and then sends at an interval that is no multiple of
/// the log's or of its readers'.
const SCRIPT: Script =
    Script { chunks: 150, gap: Duration::from_millis(13), silence: Duration::from_millis(500) };

/// The measurements of following.
pub(crate) struct Followed {
    /// The number of following clients.
    pub(crate) followers: usize,
    /// Nanoseconds from the upstream's sending of each chunk to its arrival at each of these clients.
    pub(crate) late: Vec<u64>,
}

/// Runs `turns` turns at `producer` for each number of clients, which follow at `elsewhere`.
pub(crate) async fn measure(
    producer: SocketAddr,
    elsewhere: SocketAddr,
    users: &Users,
    turns: usize,
) -> Result<Vec<Followed>> {
    let mut all = Vec::new();
    for followers in FOLLOWERS {
        let mut late = Vec::new();
        for _ in 0..turns {
            let user = users.next();
            let mut sender = Reader::connect(producer).await?;
            sender.ask(&chat_request(&user, &SCRIPT)).await?;
            sender.until(|answer| find(answer, b"\r\n\r\n")).await?;
            let request = follow_request(&user);
            let following = (0..followers).map(async |_| {
                Result::<_>::Ok(
                    Reader::connect(elsewhere).await?.turn(&request, &SCRIPT).await?.late,
                )
            });
            let (_, times) = try_join!(sender.read_answer(&SCRIPT), try_join_all(following))?;
            late.extend(times.into_iter().flatten());
        }
        all.push(Followed { followers, late });
    }
    Ok(all)
}
