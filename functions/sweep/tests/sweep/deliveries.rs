//! Deliveries that wait because Postgres was unavailable when they came.

use aws_sdk_dynamodb::types::AttributeValue;
use fake_cashfree::Attempt;
use local_stack::PrivateServers;
use shared_billing::DELIVERIES;
use shared_cashfree::Freshness::Fresh;
use shared_inbox::InboxItem;
use shared_postgres::{DatabaseConfig, Destructive, Jobs, migrate};
use sweep::{Deps, sweep};

use crate::payments::{
    GIVEN, accept_payments, attempted, counted, depth, dynamodb, ended, ordered, ordered_by_many,
    paid_and_waits, process, put, reject_payments, run, shop, state,
};
use crate::setup::{A, AMPLE, count, killed, vault};

const COUNTS: [&str; 3] = ["deliveriesProcessed", "deliveriesWaiting", "deliveriesFailed"];

#[tokio::test]
async fn waiting_deliveries_are_fulfilled() {
    let (stack, _) = shop().await;
    // More than a page.
    for order in ordered_by_many(&stack, 22).await {
        paid_and_waits(&stack, order, Fresh).await;
    }
    let report = run(&stack).await;
    assert_eq!(counted(&report, COUNTS), [Some(22), Some(0), Some(0)]);
    assert_eq!(counted(&report, ["ordersFulfilled", "paymentMismatches"]), [Some(22), Some(0)]);
    assert_eq!(count(&stack, GIVEN).await, 22);
    assert_eq!(ended(&stack).await, [("fulfilled".to_owned(), 22)].into());
    // The provider is not asked about what it has signed.
    assert_eq!(stack.cashfree.requests().len(), 22);
    assert!(!run(&stack).await.did_something());
}

#[tokio::test]
async fn each_delivery_ends_as_what_it_is() {
    let (stack, ada) = shop().await;
    let order = ordered(&stack, &ada, "premium").await;
    put(&stack, &attempted(&stack, order, Attempt::failure()), Fresh).await;
    let success = attempted(&stack, order, Attempt::success());
    put(&stack, &success, Fresh).await;
    // The provider reports a second payment and its refund.
    attempted(&stack, order, Attempt::success().began_earlier());
    for sent in &stack.cashfree.deliveries()[2..] {
        put(&stack, sent, Fresh).await;
    }
    let cheap = ordered(&stack, &ada, "gold").await;
    put(&stack, &attempted(&stack, cheap, Attempt::success().order_amount("1")), Fresh).await;
    // Another deployment's order, with the same account at the provider.
    let mut foreign = success.clone();
    let body = String::from_utf8(success.body.to_vec()).unwrap();
    let body = body.replace(&order.to_string(), "order_3242").replace("\"511491", "\"611491");
    foreign.body = body.into();
    put(&stack, &foreign, Fresh).await;

    let report = run(&stack).await;
    assert_eq!(counted(&report, COUNTS), [Some(6), Some(0), Some(0)]);
    assert_eq!(counted(&report, ["ordersFulfilled", "paymentMismatches"]), [Some(1), Some(1)]);
    let words =
        ["fulfilled", "mismatch", "nothing to do", "second_payment", "unknown_order", "unpaid"];
    assert_eq!(ended(&stack).await, words.map(|word| (word.to_owned(), 1)).into());
    assert_eq!((count(&stack, GIVEN).await, state(&stack, cheap).await), (1, "active".to_owned()));

    // A copy that comes after all of that.
    put(&stack, &success, Fresh).await;
    let report = run(&stack).await;
    assert_eq!(counted(&report, ["deliveriesProcessed", "ordersFulfilled"]), [Some(1), Some(0)]);
    assert_eq!((count(&stack, GIVEN).await, ended(&stack).await["duplicate"]), (1, 1));
}

#[tokio::test]
async fn racing_runs_fulfil_each_delivery_once() {
    let (stack, _) = shop().await;
    for order in ordered_by_many(&stack, 30).await {
        paid_and_waits(&stack, order, Fresh).await;
    }
    let (one, other) = (process(&stack), process(&stack));
    let (one, other) = tokio::join!(sweep(&one, AMPLE), sweep(&other, AMPLE));
    let fulfilled = [one.unwrap(), other.unwrap()].map(|report| report.count("ordersFulfilled"));
    assert_eq!(fulfilled.into_iter().flatten().sum::<u64>(), 30);
    assert_eq!((count(&stack, GIVEN).await, depth(&stack).await), (30, (0, 0)));
}

#[tokio::test]
async fn a_run_that_is_killed_fulfils_nothing_twice_and_loses_nothing() {
    let (stack, _) = shop().await;
    for order in ordered_by_many(&stack, 45).await {
        paid_and_waits(&stack, order, Fresh).await;
    }
    for looks in [2, 9, 40, 41] {
        killed(&stack, vault(&[A]), looks).await;
        let doubled = "select count(*) from (select from entitlements group by user_id having count(*) > 1) as twice";
        assert_eq!(count(&stack, doubled).await, 0);
    }
    let left = depth(&stack).await.0;
    assert!((5..45).contains(&left), "it was killed too early or too late: {left}");
    assert_eq!(run(&stack).await.count("deliveriesWaiting"), Some(0));
    assert_eq!(count(&stack, GIVEN).await, 45);
    assert_eq!(count(&stack, "select count(*) from orders where state = 'paid'").await, 45);
}

#[tokio::test]
async fn a_delivery_that_cannot_be_read_stays_is_counted_and_does_not_block_others() {
    let (stack, ada) = shop().await;
    let body = br#"{"delivery":"another version's"}"#.to_vec();
    let strange = InboxItem { kind: DELIVERIES, id: "A#strange".to_owned(), body };
    stack.inbox().put_item(&strange).await.unwrap();
    let text = |text: &str| AttributeValue::S(text.to_owned());
    let put = dynamodb(&stack).put_item().table_name("inbox").item("pk", text("delivery#waiting"));
    put.item("sk", text("A#without-a-body")).send().await.unwrap();
    paid_and_waits(&stack, ordered(&stack, &ada, "premium").await, Fresh).await;

    for processed in [1, 0] {
        let report = run(&stack).await;
        assert_eq!(counted(&report, COUNTS), [Some(processed), Some(2), Some(2)]);
        assert!(report.did_something());
    }
    assert_eq!(count(&stack, GIVEN).await, 1);
}

#[tokio::test]
async fn a_delivery_that_postgres_rejects_stays_is_counted_and_does_not_block_others() {
    let (stack, _) = shop().await;
    let orders = ordered_by_many(&stack, 3).await;
    for order in &orders {
        paid_and_waits(&stack, *order, Fresh).await;
    }
    reject_payments(&stack, orders[0]).await;
    for processed in [2, 0] {
        let report = run(&stack).await;
        assert_eq!(counted(&report, COUNTS), [Some(processed), Some(1), Some(1)]);
    }
    let page = stack.inbox().waiting_items(DELIVERIES, None).await.unwrap();
    assert_eq!(page.items[0].attempts, 2);
    assert_eq!(count(&stack, GIVEN).await, 2);

    accept_payments(&stack).await;
    assert_eq!(counted(&run(&stack).await, COUNTS), [Some(1), Some(0), Some(0)]);
    assert_eq!(count(&stack, GIVEN).await, 3);
}

#[tokio::test]
async fn while_postgres_is_unavailable_deliveries_wait_and_no_attempt_is_counted() {
    let (mut stack, _) = shop().await;
    let servers = PrivateServers::start().await.unwrap();
    let owner = DatabaseConfig::at(&servers.owner_url());
    migrate(&owner, Destructive::Refused).await.unwrap();
    stack.set("DATABASE_URL", servers.app_url());
    stack.set("MONEY_DATABASE_URL", servers.money_url());
    let jobs = Jobs::new(&owner, stack.clock.clock()).unwrap();
    let deps = Deps { jobs, ..process(&stack) };
    let ada = stack.session("ada@example.com").await;
    for plan in ["premium", "gold", "silver"] {
        paid_and_waits(&stack, ordered(&stack, &ada, plan).await, Fresh).await;
    }

    servers.postgres().stop().await;
    let error = sweep(&deps, AMPLE).await.unwrap_err();
    assert!(error.to_string().starts_with("deliveries: postgres: "), "{error}");
    assert!(error.to_string().contains("orders: postgres: "), "{error}");
    assert_eq!(counted(&error.report, COUNTS), [Some(0), Some(3), Some(0)]);
    assert_eq!(error.report.count("ordersStuck"), None);

    servers.postgres().start().await.unwrap();
    let report = sweep(&deps, AMPLE).await.unwrap();
    assert_eq!(counted(&report, COUNTS), [Some(3), Some(0), Some(0)]);
    assert_eq!(report.count("ordersFulfilled"), Some(3));
}
