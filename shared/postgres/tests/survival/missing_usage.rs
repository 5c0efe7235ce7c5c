//! Backfill of usage that was unknown when a turn ended.

use std::time::Duration;

use shared_core::chat::{Answer, ModelEvent, Outcome, Usage};
use shared_core::keys::KeyPolicy;
use testkit::{answer_of, next_turn};

use crate::setup::{begin, count, cut_off, finish, jobs, overview, stack, value};

const USAGE: Usage = Usage {
    prompt_tokens: 11,
    completion_tokens: 5,
    reasoning_tokens: 2,
    cached_tokens: 1,
    cost_nano_usd: Some(99),
};

#[tokio::test]
async fn missing_usage_is_found_and_backfilled_once() {
    let stack = stack().await;
    let ada = stack.session("ada@example.com").await;
    let jobs = jobs(&stack);
    let start = stack.clock.now();
    let endings = [
        (cut_off("stopped"), Outcome::Stopped),
        (answer_of("whole"), Outcome::Complete),
        (Answer::default(), Outcome::Stopped),
        (cut_off("broke off"), Outcome::Interrupted),
    ];
    for (number, (answer, outcome)) in endings.iter().enumerate() {
        let begun = begin(&stack, &ada, &next_turn("the-chat", number)).await.unwrap();
        finish(&stack, &begun, answer, outcome).await.unwrap();
    }
    let end = stack.clock.now() + Duration::from_secs(1);
    let missing_usage = jobs.missing_usage(start, end, 10).await.unwrap();
    let answers: Vec<_> = missing_usage.iter().map(|turn| turn.answer.as_str()).collect();
    assert_eq!(answers, ["answer-00", "answer-03"]);
    assert_eq!((missing_usage[0].generation.as_str(), &missing_usage[0].byok), ("gen-1", &None));
    assert_eq!(jobs.missing_usage(start, end, 1).await.unwrap(), missing_usage[..1]);
    assert_eq!(
        jobs.missing_usage(missing_usage[0].ended_at, end, 1).await.unwrap(),
        missing_usage[1..]
    );
    assert_eq!(
        jobs.missing_usage(start, missing_usage[1].ended_at, 10).await.unwrap(),
        missing_usage[..1]
    );

    for turn in &missing_usage {
        jobs.backfill_usage(turn, USAGE).await.unwrap();
        jobs.backfill_usage(turn, Usage { cost_nano_usd: Some(1), ..USAGE }).await.unwrap();
    }
    assert_eq!(jobs.missing_usage(start, end, 10).await.unwrap(), []);
    for table in ["turns", "messages"] {
        let id = if table == "turns" { "answer_id" } else { "id" };
        let sql = format!(
            "select concat_ws(' ', prompt_tokens, completion_tokens, reasoning_tokens, cached_tokens,
                              cost_nano_usd) from {table} where {id} = 'answer-00'"
        );
        assert_eq!(value(&stack, &sql).await, "11 5 2 1 99", "{table}");
    }
    assert_eq!(overview(&stack, "answer-01").await, r#"complete "whole" settled 7"#);
    assert_eq!(overview(&stack, "answer-00").await, r#"stopped "stopped" settled 99"#);
    stack.assert_books_are_right().await;
}

#[tokio::test]
async fn the_usage_of_an_empty_stopped_answer_is_backfilled_and_the_turn_stays_free() {
    let stack = stack().await;
    let ada = stack.session("ada@example.com").await;
    let mut thinking = Answer::default();
    let identified = ModelEvent::Identified { generation: "gen-1", model: "fake/other" };
    thinking.apply(&identified, &mut |_| ());
    assert!(thinking.is_empty());
    let begun = begin(&stack, &ada, &next_turn("the-chat", 1)).await.unwrap();
    finish(&stack, &begun, &thinking, &Outcome::Stopped).await.unwrap();

    let (jobs, now) = (jobs(&stack), stack.clock.now());
    let (since, before) = (now - Duration::from_mins(1), now + Duration::from_mins(1));
    let missing_usage = jobs.missing_usage(since, before, 10).await.unwrap();
    jobs.backfill_usage(&missing_usage[0], USAGE).await.unwrap();
    assert_eq!(jobs.missing_usage(since, before, 10).await.unwrap(), []);
    assert_eq!(overview(&stack, "answer-01").await, "stopped released 99");
    assert_eq!(count(&stack, "select balance::bigint from allowances").await, 5);
    stack.assert_books_are_right().await;
}

#[tokio::test]
async fn backfilled_usage_stays_when_the_true_end_is_stored() {
    let stack = stack().await;
    let ada = stack.session("ada@example.com").await;
    let begun = begin(&stack, &ada, &next_turn("the-chat", 1)).await.unwrap();
    let (database, now) = (stack.database(), stack.clock.now());
    database.interrupt_turn(begun.user, &begun.answer, &cut_off("hel"), now).await.unwrap();
    let jobs = jobs(&stack);
    let second = Duration::from_secs(1);
    let missing_usage = jobs.missing_usage(now - second, now + second, 10).await.unwrap();
    jobs.backfill_usage(&missing_usage[0], USAGE).await.unwrap();
    finish(&stack, &begun, &answer_of("hello"), &Outcome::Complete).await.unwrap();
    assert_eq!(overview(&stack, "answer-01").await, r#"complete "hello" settled 99"#);
    assert_eq!(
        value(&stack, "select cost_nano_usd::text from messages where role = 'assistant'").await,
        "99"
    );
}

#[tokio::test]
async fn missing_usage_of_a_byok_turn_is_found_with_its_key_and_not_without() {
    let stack = stack().await;
    let ada = stack.session("ada@example.com").await;
    stack.byok(&ada, "sk-or-v1-0123456789", KeyPolicy::Always, None).await;
    let begun = begin(&stack, &ada, &next_turn("the-chat", 1)).await.unwrap();
    finish(&stack, &begun, &cut_off("stopped"), &Outcome::Stopped).await.unwrap();
    let (jobs, now) = (jobs(&stack), stack.clock.now());
    let (since, before) = (now - Duration::from_mins(1), now + Duration::from_mins(1));
    let missing_usage = jobs.missing_usage(since, before, 10).await.unwrap();
    assert_eq!(missing_usage[0].byok.as_ref(), begun.payer.key());

    // The chat may be deleted; the turn's usage counts all the same.
    stack.owner().await.execute("delete from chats", &[]).await.unwrap();
    jobs.backfill_usage(&missing_usage[0], USAGE).await.unwrap();
    assert_eq!(count(&stack, "select spent_by_byok(user_id, began_at) from turns").await, 99);

    let begun = begin(&stack, &ada, &next_turn("the-chat", 2)).await.unwrap();
    finish(&stack, &begun, &cut_off("stopped"), &Outcome::Stopped).await.unwrap();
    stack.owner().await.execute("delete from provider_keys", &[]).await.unwrap();
    assert_eq!(jobs.missing_usage(since, before, 10).await.unwrap(), []);
}
