//! How far behind somebody is who follows a turn through another process, as another Lambda is.

use std::net::SocketAddr;
use std::time::Duration;

use futures_util::future::try_join_all;
use tokio::try_join;

use crate::Result;
use crate::client::{Reader, chat_request, find, follow_request};
use crate::script::Script;
use crate::users::Users;

/// How many follow the same turn.
const FOLLOWERS: [usize; 2] = [1, 50];

/// A model that thinks until all followers are there, and then speaks at a pace that is no multiple of
/// that of the log or of its readers.
const SCRIPT: Script = Script {
    chunks: 150,
    gap: Duration::from_millis(13),
    silence: Duration::from_millis(500),
    padding: 0,
};

/// What following was like.
pub(crate) struct Followed {
    /// How many did.
    pub(crate) followers: usize,
    /// Nanoseconds from the upstream's sending of each chunk to its arrival at each follower.
    pub(crate) late: Vec<u64>,
}

/// Has `turns` turns at `producer` for each number of followers, who ask at `elsewhere`.
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
            let mut asker = Reader::connect(producer).await?;
            asker.ask(&chat_request(&user, &SCRIPT)).await?;
            asker.until(|answer| find(answer, b"\r\n\r\n")).await?;
            let request = follow_request(&user);
            let following = (0..followers).map(async |_| {
                Result::<_>::Ok(
                    Reader::connect(elsewhere).await?.turn(&request, &SCRIPT).await?.late,
                )
            });
            let (_, heard) = try_join!(asker.read_answer(&SCRIPT), try_join_all(following))?;
            late.extend(heard.into_iter().flatten());
        }
        all.push(Followed { followers, late });
    }
    Ok(all)
}
