//! How long the payment provider waits for the webhook's answer, compared with the baseline (`bare_webhook.rs`).
//!
//! Each delivery reports another order's payment, so that the product fulfils each; the baseline gets the same bytes.

use std::time::Duration;

use shared_lambda::system_clock;

use crate::Result;
use crate::client::exchange;
use crate::stack::Stack;
use crate::subject::{Process, Subject, Variables};

/// The route.
pub(crate) const PATH: &str = "/api/webhooks/cashfree";
/// The secret that signs.
pub(crate) const SECRET: &str = "cfsk_bench";

/// Deliveries at once, and how many a round has.
const LOADS: [(usize, usize); 2] = [(1, 200), (50, 500)];
/// Deliveries that are not measured, because they open connections and prepare statements.
const WARM_UP: (usize, usize) = (50, 200);

/// As documented, for another order and amount.
const SAMPLE: &str =
    include_str!("../../shared/cashfree/tests/fixtures/01-payment-success-2025-01-01.json");

/// The measurements of a number of deliveries at once.
pub(crate) struct Delivered {
    /// How many there were at once.
    pub(crate) at_once: usize,
    /// The baseline.
    pub(crate) bare: Measured,
    /// The product.
    pub(crate) local: Measured,
}

/// The measurements of one subject.
#[derive(Default)]
pub(crate) struct Measured {
    /// Nanoseconds to the answer of deliveries that come for the first time.
    pub(crate) first: Vec<u64>,
    /// The same where one delivery comes again and again.
    pub(crate) again: Vec<u64>,
    /// The subject's processor time for the first ones.
    pub(crate) cpu: Duration,
    /// That of Postgres in the same period.
    pub(crate) database_cpu: Duration,
}

/// Runs `rounds` rounds for each number of deliveries at once, one subject after the other: other load of the machine
/// affects both alike.
pub(crate) async fn measure(
    stack: &Stack,
    variables: &Variables,
    local: &Process,
    rounds: usize,
) -> Result<Vec<Delivered>> {
    let bare = Process::start(Subject::BareWebhook, variables).await?;
    let a_round: usize = LOADS.iter().map(|(_, count)| count).sum();
    let orders = WARM_UP.1 + rounds * a_round;
    stack.run_as_owner(&create_orders(orders)).await?;
    stack.analyze().await?;

    let mut unpaid = 0..orders;
    let mut pay = |count| unpaid.by_ref().take(count).map(request).collect::<Vec<_>>();
    let (at_once, count) = WARM_UP;
    let requests = pay(count);
    for process in [&bare, local] {
        exchange(process.address, at_once, &requests, 200).await?;
    }
    let mut all = Vec::new();
    for (at_once, count) in LOADS {
        let mut found =
            Delivered { at_once, bare: Measured::default(), local: Measured::default() };
        for _ in 0..rounds {
            let requests = pay(count);
            for (process, measured) in [(&bare, &mut found.bare), (local, &mut found.local)] {
                let before = (process.cpu()?, stack.database_cpu()?);
                measured.first.extend(exchange(process.address, at_once, &requests, 200).await?);
                measured.cpu += process.cpu()?.saturating_sub(before.0);
                measured.database_cpu += stack.database_cpu()?.saturating_sub(before.1);
                let repeated = vec![requests[0].clone(); count];
                measured.again.extend(exchange(process.address, at_once, &repeated, 200).await?);
            }
        }
        all.push(found);
    }
    let fulfilled = stack.rows_as_owner("select from payments where result = 'fulfilled'").await?;
    if fulfilled == orders {
        Ok(all)
    } else {
        Err(format!("{fulfilled} of {orders} paid orders are fulfilled").into())
    }
}

/// Creates orders of 450 rupees, each of another user. The number of an order is its id.
fn create_orders(count: usize) -> String {
    format!(
        "insert into users (id, email, created_at)
         select lpad(to_hex(n), 32, '0')::uuid, 'buyer-' || n || '@example.com', now()
           from generate_series(0, {count} - 1) n;
         insert into billing_contacts (payer, user_id)
         select id, id from users where email like 'buyer-%';
         insert into orders (id, user_id, payer, plan, price_paise, days, credits, mode, state, created_at, expires_at, check_at)
         select payer, user_id, payer, 'premium', 45000, 30, 250, 'sandbox', 'active', now(), now() + interval '30 minutes',
                now() + interval '10 minutes'
           from billing_contacts"
    )
}

/// The request that reports the payment of the order with this number, signed now.
fn request(order: usize) -> Vec<u8> {
    let body = SAMPLE
        .replace("t3c_01JZ8Q7W5N3Y6K2M4P9RSTVWXY", &format!("00000000-0000-0000-0000-{order:012x}"))
        .replace("1453002795", &format!("{}", 1_453_000_000 + order))
        .replace("170.00", "450.00");
    let timestamp = system_clock().now().as_millisecond().to_string();
    let signature = fake_cashfree::sign(SECRET, &timestamp, body.as_bytes());
    format!(
        "POST {PATH} HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n\
         x-webhook-signature: {signature}\r\nx-webhook-timestamp: {timestamp}\r\n\
         x-webhook-version: 2025-01-01\r\ncontent-length: {}\r\n\r\n{body}",
        body.len(),
    )
    .into_bytes()
}
