//! Postgres is down for an hour, while many users pay.

use std::time::Duration;

use futures_util::future::join_all;
use local_stack::PrivateServers;
use shared_billing::DELIVERIES;
use shared_core::billing::OrderId;
use shared_inbox::Depth;
use shared_postgres::{DatabaseConfig, Destructive, migrate};
use testkit::{Stopwatch, TestStack};
use tokio::task::JoinSet;
use tokio_postgres::NoTls;
use uuid::Uuid;

use crate::api::setup::{Post, assert_accepted, instance, payment_body};

const USERS: usize = 500;
/// Deliveries that arrive together.
const AT_ONCE: usize = 10;
const HOUR: Duration = Duration::from_hours(1);

/// So many users, each with an order that waits for its payment.
const ORDERS: &str = "
    with new_users as (
      insert into users (id, email, created_at)
      select gen_random_uuid(), n || '@example.com', $1 from generate_series(1, $2::bigint) n
      returning id
    ), contacts as (
      insert into billing_contacts (payer, user_id) select id, id from new_users returning payer, user_id
    )
    insert into orders (id, user_id, payer, plan, price_paise, days, credits, mode, state, created_at, expires_at)
    select gen_random_uuid(), user_id, payer, 'premium', 45000, 30, 250, 'sandbox', 'active', $1, $1 + interval '30 minutes'
      from contacts
    returning id";

async fn connect(url: &str) -> (tokio_postgres::Client, JoinSet<()>) {
    let (client, connection) = tokio_postgres::connect(url, NoTls).await.unwrap();
    let mut driver = JoinSet::new();
    driver.spawn(async { connection.await.unwrap_or_default() });
    (client, driver)
}

#[tokio::test]
async fn what_is_paid_while_postgres_is_down_for_an_hour_is_fulfilled_by_one_sweep() {
    let servers = PrivateServers::start().await.unwrap();
    migrate(&DatabaseConfig::at(&servers.owner_url()), Destructive::Refused).await.unwrap();
    let mut stack = TestStack::start().await;
    stack.set("MONEY_DATABASE_URL", servers.money_url());
    let users = i64::try_from(USERS).unwrap();
    let (owner, _driver) = connect(&servers.owner_url()).await;
    let orders = owner.query(ORDERS, &[&stack.clock.now(), &users]).await.unwrap();
    drop(owner);
    let webhook = instance(&stack);
    let secret = stack.cashfree.client_secret();
    let deliver = async |order: Uuid| {
        let body = payment_body(OrderId(order), &order.to_string());
        assert_accepted(&Post::signed(&secret, stack.clock.now(), body).to(&webhook).await);
    };

    // Opens a connection, which is dead once Postgres is.
    let (first, others) = orders.split_first().unwrap();
    deliver(first.get(0)).await;
    servers.postgres().stop().await;
    for together in others.chunks(AT_ONCE) {
        join_all(together.iter().map(|row| deliver(row.get(0)))).await;
        stack.clock.advance(HOUR * u32::try_from(AT_ONCE).unwrap() / u32::try_from(USERS).unwrap());
    }
    let left = async || stack.inbox().depth(DELIVERIES).await.unwrap();
    assert_eq!(left().await, Depth { waiting: others.len() as u64, failed: 0 });

    servers.postgres().start().await.unwrap();
    let watch = Stopwatch::start();
    let report = stack.sweep(&servers.owner_url()).await;
    let taken = watch.elapsed_on_time();
    assert_eq!(report.count("deliveriesProcessed"), Some(others.len() as u64), "{report:?}");
    assert_eq!(left().await, Depth { waiting: 0, failed: 0 });
    assert!(taken < Duration::from_secs(30), "{taken:?}");
    let fulfilled = "
        select count(*)
          from orders o
          join payments p on p.order_id = o.id and p.id = o.id::text and p.result = 'fulfilled'
          join entitlements e on e.order_id = o.id and e.user_id = o.user_id
         where o.state = 'paid'
           and (select count(*) from entitlements) = (select count(*) from orders)";
    let (owner, _driver) = connect(&servers.owner_url()).await;
    assert_eq!(owner.query_one(fulfilled, &[]).await.unwrap().get::<_, i64>(0), users);
}
