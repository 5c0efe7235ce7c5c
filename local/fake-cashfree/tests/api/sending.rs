//! Webhooks on the wire: retries, copies, losses and order.

use std::time::Duration;

use fake_cashfree::{Attempt, FakeCashfree, Sending};
use jiff::SignedDuration;
use tokio::time::{sleep, timeout};

use crate::client::{create, created, options, order};
use crate::receiver::{Received, Receiver};

const TICK: Duration = Duration::from_millis(5);

/// A server whose orders `order_1` and `order_2` are being paid, one after the other.
async fn paying(receiver: &Receiver, sending: Sending) -> FakeCashfree {
    let (mut options, _) = options();
    options.sending = Sending { target: Some(receiver.url.clone()), ..sending };
    let fake = FakeCashfree::start_with(options).await.unwrap();
    for id in ["order_1", "order_2"] {
        created(&fake, id).await;
        fake.pay(id, Attempt::success()).unwrap();
    }
    fake
}

fn orders(received: &[Received]) -> Vec<&str> {
    let is_of = |one: &Received, id: &str| str::from_utf8(&one.body).unwrap().contains(id);
    received.iter().map(|one| if is_of(one, "order_1") { "order_1" } else { "order_2" }).collect()
}

#[tokio::test]
async fn a_webhook_is_retried_until_200() {
    for resign_retries in [false, true] {
        let receiver = Receiver::answering([503, 302, 201]).await;
        let (mut options, clock) = options();
        options.sending.target = Some(receiver.url.clone());
        options.sending.retry_delays = vec![TICK; 5];
        options.sending.resign_retries = resign_retries;
        let moved = clock.clone();
        options.clock = std::sync::Arc::new(move || {
            moved.advance(SignedDuration::from_secs(1));
            moved.now()
        });
        let fake = FakeCashfree::start_with(options).await.unwrap();
        created(&fake, "order_1").await;
        fake.pay("order_1", Attempt::success()).unwrap();
        fake.wait_for_sends(4).await;
        sleep(TICK * 4).await;
        let [delivery] = fake.deliveries().try_into().unwrap();
        assert_eq!(delivery.answers, [503, 302, 201, 200].map(Some));
        let received = receiver.take();
        for (received, attempt) in received.iter().zip(["1", "2", "3", "4"]) {
            assert_eq!(received.header("x-webhook-attempt"), attempt);
            assert_eq!(received.body, delivery.body);
        }
        let is_same = |name| received[0].header(name) == received[3].header(name);
        assert_eq!(is_same("x-webhook-timestamp"), !resign_retries);
        assert_eq!(is_same("x-webhook-signature"), !resign_retries);
    }
}

#[tokio::test]
async fn retries_end_and_a_receiver_that_is_away_is_no_answer() {
    let (mut options, _) = options();
    options.sending.target = Some("http://127.0.0.1:1/hook".to_owned());
    options.sending.retry_delays = vec![TICK; 2];
    let fake = FakeCashfree::start_with(options).await.unwrap();
    created(&fake, "order_1").await;
    fake.pay("order_1", Attempt::success()).unwrap();
    fake.wait_for_sends(3).await;
    sleep(TICK * 4).await;
    assert_eq!(fake.deliveries()[0].answers, [None; 3]);
}

#[tokio::test]
async fn without_a_target_the_notify_url_of_the_order_is_used() {
    let receiver = Receiver::answering([]).await;
    let (options, _) = options();
    let fake = FakeCashfree::start_with(options).await.unwrap();
    let mut body = order("order_1");
    body["order_meta"]["notify_url"] = receiver.url.clone().into();
    assert_eq!(create(&fake, &body).await.status, 200);
    fake.pay("order_1", Attempt::success()).unwrap();
    fake.wait_for_sends(1).await;
    let [received] = receiver.take().try_into().map_err(drop).unwrap();
    for (name, value) in &fake.deliveries()[0].headers {
        assert_eq!(received.header(name), value);
    }
    created(&fake, "order_2").await;
    fake.pay("order_2", Attempt::success()).unwrap();
    assert_eq!(fake.resend(1).await, None, "nobody is to be told");
}

#[tokio::test]
async fn webhooks_are_held_and_released_in_either_order() {
    let receiver = Receiver::answering([]).await;
    let fake = paying(&receiver, Sending { hold: true, ..Sending::default() }).await;
    sleep(TICK).await;
    assert!(receiver.take().is_empty());
    fake.release_reversed();
    fake.wait_for_sends(2).await;
    assert_eq!(orders(&receiver.take()), ["order_2", "order_1"]);
    for id in ["order_1", "order_2"] {
        fake.pay(id, Attempt::failure().began_earlier()).unwrap();
    }
    fake.release();
    fake.wait_for_sends(4).await;
    assert_eq!(orders(&receiver.take()), ["order_1", "order_2"]);
}

#[tokio::test]
async fn webhooks_are_duplicated_lost_and_delayed() {
    let receiver = Receiver::answering([]).await;
    let sending = Sending { copies: 3, lose: 1, ..Sending::default() };
    let fake = paying(&receiver, sending).await;
    fake.wait_for_sends(3).await;
    assert_eq!(orders(&receiver.take()), ["order_2"; 3]);
    assert_eq!(fake.deliveries().len(), 2);
    fake.sending(|sending| sending.delay = Duration::from_millis(200));
    fake.pay("order_1", Attempt::failure().began_earlier()).unwrap();
    assert!(timeout(Duration::from_millis(100), fake.wait_for_sends(4)).await.is_err());
    fake.wait_for_sends(6).await;
}

#[tokio::test]
async fn a_webhook_is_sent_again_as_it_was() {
    let receiver = Receiver::answering([]).await;
    let fake = paying(&receiver, Sending { hold: true, ..Sending::default() }).await;
    assert_eq!(fake.resend(0).await, Some(200));
    assert_eq!(fake.resend(0).await, Some(200));
    let [first, second] = receiver.take().try_into().map_err(drop).unwrap();
    assert_eq!((&first.headers, &first.body), (&second.headers, &second.body));
    assert_eq!(fake.resend(9).await, None);
}
