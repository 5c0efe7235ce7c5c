//! Days and months, which are in UTC.

use std::time::Duration;

use serde_json::{Value, json};

use crate::setup::{ada, at, byok, client, get, live, many_turns, stack, turn, usage};

const DAY: Duration = Duration::from_hours(24);

#[tokio::test]
async fn at_midnight_utc_the_daily_allowance_renews_and_a_new_day_of_usage_begins() {
    let stack = stack().await;
    let (session, client) = ada(&stack).await;
    stack.clock.set(at("2026-03-14T23:59:59.999999Z"));
    live(&stack, &session, &turn(1)).await;
    live(&stack, &session, &turn(2)).await;
    assert_eq!(usage(&client).await["credits"]["left"], 3);

    stack.clock.set(at("2026-03-15T00:00:00Z"));
    let fresh = usage(&client).await;
    assert_eq!(fresh["credits"]["left"], 5);
    assert_eq!(fresh["credits"]["allowances"][0]["endsAt"], "2026-03-16T00:00:00Z");
    live(&stack, &session, &turn(3)).await;
    let days = usage(&client).await["days"].take();
    let days = days.as_array().unwrap().iter().map(|day| json!([day["day"], day["turns"]]));
    assert_eq!(days.collect::<Value>(), json!([["2026-03-15", 1], ["2026-03-14", 2]]));

    // Today is one of the requested days, and complete.
    let one = get(&client, "/api/usage?days=1").await;
    assert_eq!((one["days"].as_array().unwrap().len(), &one["days"][0]["turns"]), (1, &json!(1)));
    assert_eq!(one["turns"]["items"].as_array().unwrap().len(), 3, "days do not limit turns");
}

#[tokio::test]
async fn usage_covers_thirty_days_by_default_and_ninety_on_request() {
    let stack = stack().await;
    let (session, _) = ada(&stack).await;
    many_turns(&stack, &session, 1, "2026-03-14T00:00:00Z").await;
    for (later, usual, most) in [(29, 1, 1), (1, 0, 1), (59, 0, 1), (1, 0, 0)] {
        stack.clock.advance(DAY * later);
        let client = self::client(&stack, &stack.session("ada@example.com").await);
        let days = async |path| get(&client, path).await["days"].as_array().unwrap().len();
        let now = stack.clock.now();
        assert_eq!(days("/api/usage").await, usual, "{now}");
        assert_eq!(days("/api/usage?days=90").await, most, "{now}");
    }
}

#[tokio::test]
async fn months_and_days_are_in_utc_in_every_time_zone_of_the_server() {
    let stack = stack().await;
    let abroad = "do $$ begin
                    execute format('alter database %I set timezone to ''America/New_York''', current_database());
                  end $$";
    stack.owner().await.batch_execute(abroad).await.unwrap();
    stack.clock.set(at("2026-03-01T02:00:00Z"));
    let (session, client) = ada(&stack).await;
    byok(&stack, &session).await;
    live(&stack, &session, &turn(1)).await;
    let usage = usage(&client).await;
    assert_eq!(usage["credits"]["allowances"][0]["endsAt"], "2026-03-02T00:00:00Z");
    assert_eq!(usage["days"][0]["day"], "2026-03-01");
    assert_eq!(usage["byok"]["resetsAt"], "2026-04-01T00:00:00Z");
    assert_eq!(usage["byok"]["spentThisMonthUsd"], 7e-9);
}

#[tokio::test]
async fn the_spending_of_a_byok_restarts_each_month_and_a_refused_one_is_reported() {
    let stack = stack().await;
    stack.clock.set(at("2026-03-31T23:59:59.999999Z"));
    let (session, client) = ada(&stack).await;
    byok(&stack, &session).await;
    live(&stack, &session, &turn(1)).await;
    assert_eq!(usage(&client).await["byok"]["spentThisMonthUsd"], 7e-9);

    stack.clock.set(at("2026-04-01T00:00:00Z"));
    let refuse =
        "update provider_keys set refused_at = now(), policy = 'fallback', cap_nano_usd = null";
    stack.owner().await.execute(refuse, &[]).await.unwrap();
    assert_eq!(
        usage(&client).await["byok"],
        json!({
            "masked": "sk-or-...1c96", "policy": "fallback", "status": "refused", "monthlyCapUsd": null,
            "spentThisMonthUsd": 0.0, "resetsAt": "2026-05-01T00:00:00Z",
        })
    );
}
