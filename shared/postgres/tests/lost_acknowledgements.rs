//! Retries after a transaction that was committed, but whose acknowledgement was lost with its connection.

#![expect(clippy::unwrap_used, reason = "a test stops where it breaks")]

use std::net::SocketAddr;

use shared_core::chat::{IdempotencyKey, NewTurn, Outcome};
use shared_postgres::{Payer, TurnEnd};
use testkit::{TestStack, answer_of, next_turn};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

/// The kind of the row with the payment decision: the server sends it once the transaction has committed.
const PAYMENT: &[u8] = b"payment";

/// A proxy that drops the first acknowledgement of a begun turn, and its connection.
async fn drop_first_acknowledgement(listener: TcpListener, server: SocketAddr) {
    let mut connections = JoinSet::new();
    let mut has_dropped = false;
    loop {
        let (mut client, _) = listener.accept().await.unwrap();
        let mut server = TcpStream::connect(server).await.unwrap();
        if has_dropped {
            connections.spawn(async move {
                tokio::io::copy_bidirectional(&mut client, &mut server).await.ok();
            });
            continue;
        }
        let (mut request, mut response) = ([0; 8192], [0; 8192]);
        loop {
            tokio::select! {
                read = client.read(&mut request) => match read.unwrap() {
                    0 => break,
                    count => server.write_all(&request[..count]).await.unwrap(),
                },
                read = server.read(&mut response) => {
                    let response = &response[..read.unwrap()];
                    if response.windows(PAYMENT.len()).any(|bytes| bytes == PAYMENT) {
                        has_dropped = true;
                        break;
                    }
                    client.write_all(response).await.unwrap();
                }
            }
        }
    }
}

#[tokio::test]
async fn a_turn_that_is_retried_after_a_lost_acknowledgement_reserves_once() {
    let mut stack = TestStack::start().await;
    let ada = stack.session("ada@example.com").await;
    let database = stack.database();
    let now = stack.clock.now();
    // One credit is left: the retry needs the one that the first attempt has reserved.
    for number in 1..=4 {
        let turn = next_turn("the-chat", number);
        let begun = database.request(&ada, now).begin_turn(&turn, &stack.plans()).await.unwrap();
        let (answer, outcome) = (answer_of("hello"), Outcome::Complete);
        let end = TurnEnd { answer: &answer, outcome: &outcome, at: now };
        database.finish_turn(&begun, end).await.unwrap();
    }

    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = stack.env().required("DATABASE_URL").unwrap();
    let server = url.split('@').nth(1).unwrap().split('/').next().unwrap().to_owned();
    let through = listener.local_addr().unwrap().to_string();
    stack.set("DATABASE_URL", url.replace(&server, &through));
    let unreliable = stack.database();
    let mut proxy = JoinSet::new();
    proxy.spawn(drop_first_acknowledgement(listener, server.parse().unwrap()));

    // Neither the question nor the key makes the second attempt a duplicate of the first.
    let key = IdempotencyKey::parse("the fifth").unwrap();
    let turn = NewTurn { idempotency_key: Some(key), ..next_turn("the-chat", 5) };
    let begun = unreliable.request(&ada, now).begin_turn(&turn, &stack.plans()).await.unwrap();
    assert!(matches!(begun.payer, Payer::Credits { credits: 1, left: 0, .. }), "{begun:?}");
    assert_eq!(begun.answer.as_str(), "answer-05-2");
    stack.assert_books_are_right().await;
    for (expected, what) in [
        (1, "turns where answer_id = 'answer-05' and state = 'withdrawn'"),
        (
            1,
            "turns where answer_id = 'answer-05-2' and state = 'open' and idempotency_key = 'the fifth'",
        ),
        (0, "messages where id = 'answer-05'"),
        (1, "messages where id = 'question-5'"),
        (1, "chats where turns = 5 and head_id = 'answer-05-2'"),
    ] {
        stack.until_count(expected, &format!("select count(*) from {what}")).await;
    }
}
