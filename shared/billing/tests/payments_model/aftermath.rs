//! What has to be true once everything has recovered, although nothing more is delivered.

use std::collections::HashMap;
use std::time::Duration;

use fake_cashfree::{OrderRecord, OrderStatus, PaymentStatus};
use http::StatusCode;
use jiff::Timestamp;
use uuid::Uuid;

use crate::buyer::Buyer;
use crate::tally::Tally;
use crate::world::World;

/// More runs than are needed for all that is due at one time.
const MOST_RUNS: usize = 40;
const DUE: &str = "select count(*) from orders where check_at <= $1";
const ORDERS: &str = "
    select o.id::text, o.user_id, o.state::text, o.paid_at, e.starts_at, e.ends_at,
           e.ends_at - e.starts_at = o.days * interval '24 hours' and e.plan = o.plan and e.credits = o.credits as is_as_bought
      from orders o left join entitlements e on e.order_id = o.id
     order by e.starts_at, o.created_at";
const PAYMENTS: &str = "select id, order_id::text, status, result from payments";
const OPEN: &str = "select user_id, plan from orders where state in ('created', 'active')";
/// What is not given by an order that is paid here, or is given twice, or is not in the audit log.
const UNEXPLAINED: &str = "
    select (select count(*) from entitlements e left join orders o on o.id = e.order_id where o.state is distinct from 'paid')
         + (select count(*) from orders o where o.state = 'paid' and
              (select count(*) from audit_log a where a.kind = 'payment.fulfilled' and a.reference = o.id::text) <> 1)";

/// How long the sweep pauses: in every other world it runs rarely.
fn fortnight(seed: u64) -> Vec<Duration> {
    let (hours, days) = (Duration::from_hours(1 + seed % 20), 1 + u32::try_from(seed % 3).unwrap());
    let (day, week) = (Duration::from_hours(24), Duration::from_hours(8 * 24));
    if seed.is_multiple_of(2) {
        vec![Duration::ZERO, week, week]
    } else {
        vec![Duration::from_mins(11), hours, day * days, week]
    }
}

struct Order {
    id: String,
    state: String,
    paid_at: Option<Timestamp>,
    period: Option<(Timestamp, Timestamp)>,
    is_as_bought: Option<bool>,
}

struct Payment {
    id: String,
    status: String,
    result: String,
}

pub(crate) struct Aftermath<'a> {
    world: &'a World,
    orders: HashMap<Uuid, Vec<Order>>,
    payments: HashMap<String, Vec<Payment>>,
    provider: HashMap<String, OrderRecord>,
    tally: Tally,
}

/// Sweeps for a fortnight, each time until nothing is left to do.
async fn recovered(world: &World) -> Tally {
    let (functions, mut tally) = (world.functions(), Tally::default());
    for passes in fortnight(world.seed) {
        world.stack.clock.advance(passes);
        for runs in 0.. {
            assert!(runs < MOST_RUNS, "seed {}: the sweep does not come to an end", world.seed);
            let report = world.sweep(&functions).await;
            tally.add_sweep(&report);
            let row = world.owner.query_one(DUE, &[&world.now()]).await.unwrap();
            if row.get::<_, i64>(0) == 0 && report.count("deliveriesWaiting") == Some(0) {
                break;
            }
            world.stack.clock.advance(Duration::from_mins(1));
        }
    }
    tally
}

impl<'a> Aftermath<'a> {
    pub(crate) async fn of(world: &'a World) -> Self {
        let tally = recovered(world).await;
        let mut orders: HashMap<_, Vec<_>> = HashMap::new();
        for row in world.owner.query(ORDERS, &[]).await.unwrap() {
            let starts_at: Option<Timestamp> = row.get("starts_at");
            orders.entry(row.get("user_id")).or_default().push(Order {
                id: row.get("id"),
                state: row.get("state"),
                paid_at: row.get("paid_at"),
                period: starts_at.zip(row.get("ends_at")),
                is_as_bought: row.get("is_as_bought"),
            });
        }
        let mut payments: HashMap<_, Vec<_>> = HashMap::new();
        for row in world.owner.query(PAYMENTS, &[]).await.unwrap() {
            let payment = Payment { id: row.get(0), status: row.get(2), result: row.get(3) };
            payments.entry(row.get(1)).or_default().push(payment);
        }
        let provider = world.stack.cashfree.orders();
        let provider = provider.into_iter().map(|order| (order.id.clone(), order)).collect();
        Self { world, orders, payments, provider, tally }
    }

    pub(crate) async fn judged(self) -> Tally {
        let mut tally = self.tally.clone();
        let nothing = "select count(*) from orders where check_at is not null";
        assert_eq!(self.world.count(nothing).await, 0, "{}: asked about for ever", self.seed());
        assert_eq!(self.world.count(UNEXPLAINED).await, 0, "{}: unexplained", self.seed());
        for buyer in &self.world.buyers {
            let orders = self.orders.get(&buyer.user().0).map(|orders| &**orders);
            for order in orders.unwrap_or_default() {
                self.judge_order(buyer, order);
                self.judge_payments(buyer, order);
                tally.count(format!("orders {}", order.state), 1);
            }
            self.judge_periods(orders.unwrap_or_default());
            let paid_at = orders.unwrap_or_default().iter().filter_map(|order| order.paid_at);
            let paid_at: Vec<_> = paid_at.collect();
            let at_once = paid_at.windows(2).filter(|pair| pair[0] == pair[1]).count();
            tally.count("orders paid at once", at_once as u64);
        }
        for payment in self.payments.values().flatten() {
            tally.count(format!("payments {}", payment.result), 1);
        }
        self.judge_stuck().await;
        tally.count("ordered again", self.nobody_is_blocked().await);
        tally
    }

    fn seed(&self) -> String {
        format!("PAYMENTS_MODEL_SEED={}", self.world.seed)
    }

    /// Each order that the provider calls paid, with the right amount, is fulfilled; no other order gives anything.
    fn judge_order(&self, buyer: &Buyer, order: &Order) {
        let there = self.provider.get(&order.id);
        let is_paid = there.is_some_and(|there| {
            there.status == OrderStatus::Paid
                && there.payments.iter().any(|payment| {
                    payment.status == PaymentStatus::Success && !buyer.is_wrong(&payment.id)
                })
        });
        let said = || format!("{}: {} is {}, {there:?}", self.seed(), order.id, order.state);
        assert_eq!(order.state == "paid", is_paid, "{}", said());
        assert_eq!(order.period.is_some(), is_paid, "{}", said());
        assert_ne!(order.is_as_bought, Some(false), "{}", said());
    }

    /// Payments are recorded as the provider knows them, or knew them, and one of them has paid a paid order.
    fn judge_payments(&self, buyer: &Buyer, order: &Order) {
        let here = self.payments.get(&order.id).map(|here| &**here).unwrap_or_default();
        let there = self.provider.get(&order.id).map(|there| &*there.payments).unwrap_or_default();
        let said = || format!("{}: {}, {there:?}", self.seed(), order.id);
        let fulfilled = here.iter().filter(|payment| payment.result == "fulfilled").count();
        assert_eq!(fulfilled, usize::from(order.state == "paid"), "{}", said());
        for payment in here {
            let known = there.iter().find(|known| known.id == payment.id);
            let status = known.unwrap_or_else(|| panic!("{}", said())).status;
            let is_success = payment.status == "SUCCESS";
            let may_be = payment.status == status.as_str() || payment.status == "PENDING";
            assert!(may_be, "{}: {} is {}", said(), payment.id, payment.status);
            let expected: &[&str] = match (is_success, buyer.is_wrong(&payment.id)) {
                (false, _) => &["unpaid"],
                (true, true) => &["mismatch"],
                (true, false) => &["fulfilled", "second_payment"],
            };
            assert!(expected.contains(&&*payment.result), "{}: {}", said(), payment.result);
        }
        // Whoever finds an unpaid order paid records all its successes.
        for known in there.iter().filter(|known| known.status == PaymentStatus::Success) {
            let is_known = here.iter().any(|payment| payment.id == known.id);
            assert!(is_known || order.state == "paid", "{}: {} is lost", said(), known.id);
        }
    }

    /// A period begins with its payment, or when the one before it ends.
    fn judge_periods(&self, orders: &[Order]) {
        let mut last_end = Timestamp::UNIX_EPOCH;
        for order in orders.iter().filter(|order| order.state == "paid") {
            let (Some((begins, ends)), Some(paid_at)) = (order.period, order.paid_at) else {
                panic!("{}: {} gave nothing", self.seed(), order.id)
            };
            assert_eq!(begins, last_end.max(paid_at), "{}: {}", self.seed(), order.id);
            last_end = ends;
        }
    }

    /// Orders that are paid there, and of whose payment nothing is known here, are reported, and no others.
    async fn judge_stuck(&self) {
        let here = "select order_id::text from payments where status = 'SUCCESS'";
        let paid: Vec<String> =
            self.world.owner.query(here, &[]).await.unwrap().iter().map(|row| row.get(0)).collect();
        let there = self.provider.values().filter(|order| order.status == OrderStatus::Paid);
        let stuck = there.filter(|order| !paid.contains(&order.id)).count();
        let report = self.world.sweep(&self.world.functions()).await;
        assert_eq!(report.count("ordersStuck"), Some(stuck as u64), "{}", self.seed());
    }

    /// Who has an open order, and some who have none, can order and pay. Returns how many have done so.
    async fn nobody_is_blocked(&self) -> u64 {
        let mut ordered = 0;
        let open = self.world.owner.query(OPEN, &[]).await.unwrap();
        let open: HashMap<Uuid, String> = open.iter().map(|row| (row.get(0), row.get(1))).collect();
        let functions = self.world.functions();
        for (number, buyer) in self.world.buyers.iter().enumerate() {
            let plan = match open.get(&buyer.user().0) {
                Some(plan) => plan,
                None if number.is_multiple_of(10) => "premium",
                None => continue,
            };
            let session = self.world.sign_in(number).await;
            let buyer = Buyer::new(session, self.world.stack.cookie(&session));
            let answer = buyer.order(&functions.orders, plan).await;
            assert_eq!(answer.status, StatusCode::CREATED, "{}: {answer:?}", self.seed());
            assert!(answer.json()["checkout"].is_object(), "{}: {answer:?}", self.seed());
            let id = answer.json()["order"]["id"].as_str().map(str::to_owned).unwrap();
            let there = self.world.stack.cashfree.order(&id).unwrap();
            assert_eq!(there.status, OrderStatus::Active, "{}: {id}", self.seed());
            ordered += 1;
        }
        ordered
    }
}
