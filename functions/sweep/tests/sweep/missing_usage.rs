//! Backfill of the usage of turns whose stream was not read to its end.

use std::pin::pin;
use std::time::Duration;

use local_stack::free_port;
use shared_core::chat::{Answer, ModelEvent, Outcome, PromptMessage};
use shared_core::env::Env;
use shared_core::identity::Session;
use shared_core::keys::{KeyPolicy, ProviderKey};
use shared_core::models::ModelId;
use shared_openrouter::{CompletionRequest, OpenRouter, OpenRouterConfig};
use shared_postgres::TurnEnd;
use sweep::{Deps, SweepReport, sweep};
use testkit::TestStack;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio::time::sleep;
use uuid::Uuid;

use crate::setup::{A, AMPLE, begun, count, deps, said, stack, vault};

const OWN: &str = "sk-or-v1-0123456789abcdef";

/// Asks a model that counts to 200, disconnects after the first word, and stores the stopped turn.
async fn disconnected(stack: &TestStack, session: &Session, number: usize, key: Option<&str>) {
    let begun = begun(stack, session, number).await;
    assert_eq!(begun.payer.key().is_some(), key.is_some());
    let (model, key) =
        (ModelId::parse("fake/slow").unwrap(), key.map(|key| ProviderKey::parse(key).unwrap()));
    let messages = [PromptMessage { role: "user", content: "count please".into() }];
    let ask = CompletionRequest {
        pdf_engine: None,
        model: &model,
        messages: &messages,
        user: session.user,
        trace: Uuid::from_u128(9).into(),
        key: key.as_ref(),
    };
    let mut stream = stack.openrouter().complete(&ask).await.unwrap();
    let mut answer = Answer::default();
    while answer.is_empty() {
        let quiet = pin!(sleep(Duration::from_secs(2)));
        stream.next(quiet, &mut |event: ModelEvent<'_>| answer.apply(&event, &mut |_| ())).await;
    }
    let dropped = stack.provider.dropped_streams();
    drop(stream);
    stack.provider.wait_for_dropped_streams(dropped + 1).await;
    let ending = TurnEnd { answer: &answer, outcome: &Outcome::Stopped, at: stack.clock.now() };
    stack.database().finish_turn(&begun, ending).await.unwrap();
}

/// A turn that was stopped after its model had sent this generation id.
async fn stopped(stack: &TestStack, session: &Session, number: usize, generation: &str) {
    let begun = begun(stack, session, number).await;
    let mut answer = Answer::default();
    let identified = ModelEvent::Identified { generation, model: "fake/slow" };
    for event in [identified, ModelEvent::Text("a")] {
        answer.apply(&event, &mut |_| ());
    }
    let ending = TurnEnd { answer: &answer, outcome: &Outcome::Stopped, at: stack.clock.now() };
    stack.database().finish_turn(&begun, ending).await.unwrap();
}

/// Lets the provider notice the disconnect, by its own clock, and the sweep reach the time of the lookup.
async fn a_moment(stack: &TestStack) {
    sleep(Duration::from_millis(600)).await;
    stack.clock.advance(Duration::from_secs(6));
}

async fn run(stack: &TestStack) -> SweepReport {
    sweep(&deps(stack, stack.vault()), AMPLE).await.unwrap()
}

/// By the fake's prices.
const PRICED: &str = "select count(*) from turns
    where prompt_tokens = 2 and completion_tokens between 1 and 30
      and cost_nano_usd = prompt_tokens * 1000 + completion_tokens * 2000";

#[tokio::test]
async fn usage_paid_by_the_platforms_key_or_by_byok_is_backfilled() {
    let stack = stack().await;
    let (ada, eve) =
        (stack.session("ada@example.com").await, stack.session("eve@example.com").await);
    stack.byok(&eve, OWN, KeyPolicy::Always, None).await;
    disconnected(&stack, &ada, 1, None).await;
    disconnected(&stack, &eve, 2, Some(OWN)).await;
    assert_eq!(run(&stack).await.count("usageBackfilled").unwrap(), 0, "it is too early to ask");
    a_moment(&stack).await;

    let report = run(&stack).await;
    assert_eq!(report.count("usageBackfilled").unwrap(), 2);
    assert!(report.did_something());
    assert_eq!(count(&stack, PRICED).await, 2);
    let messages = "select count(*) from messages m join turns t on t.answer_id = m.id
        where (m.prompt_tokens, m.completion_tokens, m.cost_nano_usd) = (t.prompt_tokens, t.completion_tokens, t.cost_nano_usd)";
    assert_eq!(count(&stack, messages).await, 2);
    let credits = "select string_agg(credits::text, ' ' order by answer_id) from turns";
    assert_eq!(said(&stack, credits).await, "1 0");
    stack.assert_books_are_right().await;
    assert!(!run(&stack).await.did_something());
}

#[tokio::test]
async fn two_racing_runs_backfill_usage_once() {
    let stack = stack().await;
    let eve = stack.session("eve@example.com").await;
    stack.byok(&eve, OWN, KeyPolicy::Always, None).await;
    disconnected(&stack, &eve, 1, Some(OWN)).await;
    a_moment(&stack).await;
    let (one, other) = (deps(&stack, stack.vault()), deps(&stack, stack.vault()));
    let (one, other) = tokio::join!(sweep(&one, AMPLE), sweep(&other, AMPLE));
    assert!(
        one.unwrap().count("usageBackfilled").unwrap()
            + other.unwrap().count("usageBackfilled").unwrap()
            >= 1
    );
    assert_eq!(count(&stack, PRICED).await, 1);
    let spent = "select count(*) from provider_keys k join turns t using (user_id) where usage_nano_usd <= cost_nano_usd";
    assert_eq!(count(&stack, spent).await, 1);
}

#[tokio::test]
async fn a_byok_that_is_gone_does_not_block_the_backfill_of_others() {
    let stack = stack().await;
    let mut users = Vec::new();
    for (number, name) in ["deleted", "replaced", "revoked", "sealed", "last"].iter().enumerate() {
        let user = stack.session(&format!("{name}@example.com")).await;
        let key = format!("{OWN}-{name}");
        stack.byok(&user, &key, KeyPolicy::Always, None).await;
        disconnected(&stack, &user, number, Some(&key)).await;
        users.push(user);
    }
    a_moment(&stack).await;
    let owner = stack.owner().await;
    let forget = "delete from provider_keys where user_id = $1";
    owner.execute(forget, &[&users[0].user.0]).await.unwrap();
    stack.byok(&users[1], "sk-or-v1-another-one", KeyPolicy::Always, None).await;
    stack.provider.revoke(format!("{OWN}-revoked"));
    let spoil = "update provider_keys set ciphertext = set_byte(ciphertext, 0, get_byte(ciphertext, 0) # 1) where user_id = $1";
    owner.execute(spoil, &[&users[3].user.0]).await.unwrap();

    let report = run(&stack).await;
    assert_eq!(
        (report.count("usageBackfilled").unwrap(), count(&stack, PRICED).await),
        (1, 1),
        "{report:?}"
    );
}

#[tokio::test]
async fn usage_that_stays_unknown_is_looked_up_once_an_hour_for_a_day() {
    let stack = stack().await;
    stack.clock.advance(Duration::from_mins(20));
    let ada = stack.session("ada@example.com").await;
    stopped(&stack, &ada, 1, "gen-unknown").await;
    stack.clock.advance(Duration::from_secs(6));
    assert_eq!(run(&stack).await.count("usageBackfilled").unwrap(), 0);

    // OpenRouter is unavailable: every lookup fails.
    let nowhere = async || {
        let deps = Deps { openrouter: unreachable(), ..deps(&stack, vault(&[A])) };
        sweep(&deps, AMPLE).await.map_err(|error| error.to_string())
    };
    let error = nowhere().await.unwrap_err();
    assert!(error.starts_with("missing usage: a generation cannot be looked up: "), "{error}");
    stack.clock.advance(Duration::from_mins(15));
    assert!(nowhere().await.is_ok(), "it was asked a quarter of an hour later");
    for hours in [1, 2, 23] {
        stack.clock.set("2026-03-14T12:00:30Z".parse().unwrap());
        stack.clock.advance(Duration::from_hours(hours));
        assert!(nowhere().await.is_err(), "it was not asked {hours} hours later");
    }
    stack.clock.advance(Duration::from_hours(2));
    assert!(nowhere().await.is_ok(), "it was asked after a day");
}

/// A provider at an address where nothing listens.
fn unreachable() -> OpenRouter {
    at(&format!("http://127.0.0.1:{}", free_port().unwrap()))
}

fn at(base_url: &str) -> OpenRouter {
    let env = Env::new(|name| match name {
        "OPENROUTER_BASE_URL" => Some(base_url.to_owned()),
        "OPENROUTER_API_KEY" => Some("sk-or-v1-test".to_owned()),
        _ => None,
    });
    let config = OpenRouterConfig::from_env(&env).unwrap();
    OpenRouter::new(&config).unwrap()
}

/// A fake OpenRouter that answers a lookup with the status that the generation's id names, such as
/// `gen-503`; it knows the usage of `gen-known`, and of `gen-priceless` without a cost.
async fn moody() -> (OpenRouter, JoinSet<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let openrouter = at(&format!("http://{}", listener.local_addr().unwrap()));
    let mut server = JoinSet::new();
    server.spawn(async move {
        loop {
            let (mut socket, _) = listener.accept().await.unwrap();
            let mut request = vec![0; 4096];
            let length = socket.read(&mut request).await.unwrap();
            let request = str::from_utf8(&request[..length]).unwrap();
            let (_, id) = request.split_once("?id=gen-").unwrap();
            let (status, body) = match id.split_once(' ').unwrap().0 {
                "priceless" => ("200", r#"{"data":{"total_cost":null}}"#),
                "known" => {
                    let known = r#"{"data":{"total_cost":0.000000099,"native_tokens_prompt":1}}"#;
                    ("200", known)
                }
                status => (status, "{}"),
            };
            let length = body.len();
            let head =
                format!("HTTP/1.1 {status} so\r\nconnection: close\r\ncontent-length: {length}");
            let _ = socket.write_all(format!("{head}\r\n\r\n{body}").as_bytes()).await;
        }
    });
    (openrouter, server)
}

#[tokio::test]
async fn a_failed_lookup_of_one_generation_does_not_block_the_others() {
    let stack = stack().await;
    let (ada, eve) =
        (stack.session("ada@example.com").await, stack.session("eve@example.com").await);
    stack.byok(&eve, OWN, KeyPolicy::Always, None).await;
    let odd = [
        (&ada, "gen-503"),
        (&ada, "gen-418"),
        (&ada, "gen-priceless"),
        (&eve, "gen-402"),
        (&eve, "gen-429"),
        (&eve, "gen-401"),
    ];
    for (number, (session, generation)) in odd.into_iter().enumerate() {
        stopped(&stack, session, number, generation).await;
        stack.clock.advance(Duration::from_secs(1));
    }
    stopped(&stack, &eve, 7, "gen-known").await;
    stack.clock.advance(Duration::from_secs(6));

    let (openrouter, _server) = moody().await;
    let deps = Deps { openrouter, ..deps(&stack, stack.vault()) };
    let report = sweep(&deps, AMPLE).await.unwrap();
    assert_eq!(report.count("usageBackfilled").unwrap(), 1);
    assert_eq!(count(&stack, "select count(*) from turns where cost_nano_usd = 99").await, 1);

    // If the platform's key is refused, it is refused for each lookup.
    stopped(&stack, &ada, 8, "gen-401").await;
    stack.clock.advance(Duration::from_secs(6));
    let error = sweep(&deps, AMPLE).await.unwrap_err().to_string();
    assert!(error.starts_with("missing usage: the provider refuses the key"), "{error}");
}
