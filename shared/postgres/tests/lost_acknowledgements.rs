//! Retries after a transaction whose acknowledgement was lost with its connection, although it was committed, or is about
//! to be.

#![expect(clippy::unwrap_used, reason = "a test stops where it breaks")]

use std::net::SocketAddr;
use std::time::Duration;

use shared_core::chat::{NewTurn, Outcome};
use shared_core::idempotency_key::IdempotencyKey;
use shared_postgres::{Payer, TurnEnd};
use testkit::{TestStack, answer_of, next_turn};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

/// The kind of the row with the payment decision. A turn that begins has two: its prediction's, and the one that begins
/// its acknowledgement.
const PAYMENT: &[u8] = b"payment";

/// A proxy that drops a connection instead of passing on the `nth` row of kind `payment`.
async fn drop_payment(nth: usize, listener: TcpListener, server: SocketAddr) {
    let mut connections = JoinSet::new();
    let (mut payments, mut has_dropped) = (0, false);
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
                    payments += response.windows(PAYMENT.len()).filter(|bytes| *bytes == PAYMENT).count();
                    if payments >= nth {
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
async fn a_turn_whose_acknowledgement_is_lost_is_retried_and_reserves_once() {
    retry(2, Duration::ZERO).await;
}

#[tokio::test]
async fn a_turn_whose_connection_is_lost_while_it_begins_is_retried_and_reserves_once() {
    retry(1, Duration::from_millis(300)).await;
}

/// Begins a turn through [`drop_payment`]; the server can begin none before `delay` has passed.
async fn retry(nth_payment: usize, delay: Duration) {
    let mut stack = TestStack::start().await;
    let ada = stack.session("ada@example.com").await;
    let database = stack.database();
    let now = stack.clock.now();
    // One credit is left: the retry needs the one that the first attempt has reserved.
    for number in 1..=4 {
        let turn = next_turn("the-chat", number);
        let begun =
            database.request(&ada, now).begin_turn(&turn, &stack.plans(), None).await.unwrap();
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
    proxy.spawn(drop_payment(nth_payment, listener, server.parse().unwrap()));
    let mut owner = stack.owner().await;
    let lock = owner.transaction().await.unwrap();
    lock.batch_execute("lock table chats in exclusive mode").await.unwrap();
    let unlock = async {
        tokio::time::sleep(delay).await;
        lock.commit().await.unwrap();
    };

    // Neither the question nor the key makes the second attempt a duplicate of the first.
    let key = IdempotencyKey::parse("the fifth").unwrap();
    let turn = NewTurn { idempotency_key: Some(key), ..next_turn("the-chat", 5) };
    let (request, plans) = (unreliable.request(&ada, now), stack.plans());
    let (begun, ()) = tokio::join!(request.begin_turn(&turn, &plans, None), unlock);
    let begun = begun.unwrap();
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
