//! A world: buyers, and the systems that they share.

use std::collections::HashMap;
use std::time::Duration;

use futures_util::future::join_all;
use jiff::Timestamp;
use shared_core::identity::{ABSOLUTE_LIFETIME, Email, Session};
use shared_core::ids::{SessionId, UserId};
use shared_lambda::system_entropy;
use shared_postgres::NewSession;
use sweep::{SweepReport, sweep};
use testkit::TestStack;
use tokio_postgres::Client;

use crate::aftermath::Aftermath;
use crate::buyer::Buyer;
use crate::history::{Away, Moment, history};
use crate::killed::killed;
use crate::systems::{Functions, Systems};
use crate::tally::Tally;

/// More time than any run takes.
const AMPLE: Duration = Duration::from_secs(45);
const BREAK_CONNECTIONS: &str = "
    select pg_terminate_backend(pid)
      from pg_stat_activity
     where datname = current_database()
       and pid <> pg_backend_pid()";
/// Makes transactions longer, so that more of them are open at once.
const LINGER: &str = "
    create function linger() returns trigger language plpgsql as $$
    begin
      perform pg_sleep(random() * 0.008);
      return new;
    end
    $$;
    create trigger linger before insert on orders for each row execute function linger();
    create trigger linger before insert on payments for each row execute function linger();
    create trigger linger before insert on entitlements for each row execute function linger();";

pub(crate) struct World {
    pub(crate) seed: u64,
    pub(crate) stack: TestStack,
    pub(crate) systems: Systems,
    /// Sees every row.
    pub(crate) owner: Client,
    pub(crate) buyers: Vec<Buyer>,
}

impl World {
    pub(crate) async fn new(seed: u64, buyers: usize) -> Self {
        let mut stack = TestStack::start().await;
        stack.clock.set("2026-03-14T12:00:00Z".parse().unwrap());
        // The sweep may ask five times as often as in the sandbox.
        stack.set("CASHFREE_MODE", "production");
        let (systems, owner) = (Systems::new(&stack), stack.owner().await);
        owner.batch_execute(LINGER).await.unwrap();
        let mut world = Self { seed, stack, systems, owner, buyers: Vec::new() };
        for number in 0..buyers {
            let session = world.sign_in(number).await;
            let cookie = world.stack.cookie(&session);
            world.buyers.push(Buyer::new(session, cookie));
        }
        world
    }

    /// A new session of a buyer.
    pub(crate) async fn sign_in(&self, number: usize) -> Session {
        let (entropy, now) = (system_entropy(), self.now());
        let new = NewSession {
            id: SessionId(entropy.uuid(now)),
            user_if_new: UserId(entropy.uuid(now)),
            user_agent: None,
            expires_at: now + ABSOLUTE_LIFETIME,
        };
        let email = Email::parse(&format!("buyer-{number}@example.com")).unwrap();
        let user = self.systems.database().sign_in(&email, &new, now).await.unwrap();
        Session { user: user.id, id: new.id, expires_at: new.expires_at }
    }

    /// Lives through its history, and is judged.
    pub(crate) async fn live(mut self) -> Tally {
        for moment in history(self.seed, self.buyers.len()) {
            self.pass(&moment).await;
        }
        self.stack.cashfree.recover();
        Aftermath::of(&self).await.judged().await
    }

    async fn pass(&mut self, moment: &Moment) {
        self.stack.clock.advance(moment.passes);
        self.learn_orders().await;
        self.stack.cashfree.recover();
        for (call, calls, trouble) in &moment.troubles {
            self.stack.cashfree.fail_next(*call, *calls, *trouble);
        }
        let functions = self.systems.functions(&self.stack, moment.away, moment.prices);
        let (functions, provider, now) = (&functions, &self.stack.cashfree, self.now());
        let deeds = self.buyers.iter().zip(&moment.deeds).flat_map(|(buyer, deeds)| {
            deeds.iter().map(move |deed| buyer.does(deed, functions, provider, now))
        });
        let sweeps = moment.sweeps.iter();
        // It may fail: something is unavailable.
        let sweeps = sweeps.map(|after| killed(*after, sweep(&functions.sweep, AMPLE)));
        tokio::join!(join_all(deeds), join_all(sweeps), self.break_connections(moment));
    }

    async fn break_connections(&self, moment: &Moment) {
        let Some(steps) = moment.breaks_after else { return };
        for _ in 0..steps {
            tokio::task::yield_now().await;
        }
        self.owner.query(BREAK_CONNECTIONS, &[]).await.unwrap();
    }

    /// Whoever lost the answer to an order finds it in the list of orders.
    async fn learn_orders(&mut self) {
        let sql = "select user_id, id::text from orders order by created_at, id";
        let mut orders: HashMap<_, Vec<String>> = HashMap::new();
        for row in self.owner.query(sql, &[]).await.unwrap() {
            orders.entry(UserId(row.get(0))).or_default().push(row.get(1));
        }
        for buyer in &mut self.buyers {
            buyer.orders = orders.remove(&buyer.user()).unwrap_or_default();
        }
    }

    /// The functions while all is well.
    pub(crate) fn functions(&self) -> Functions {
        let away = Away { postgres: false, inbox: false, cache: false };
        self.systems.functions(&self.stack, away, 0)
    }

    pub(crate) async fn sweep(&self, functions: &Functions) -> SweepReport {
        let swept = sweep(&functions.sweep, AMPLE).await;
        swept.unwrap_or_else(|error| panic!("seed {}: {error}: {error:?}", self.seed))
    }

    pub(crate) fn now(&self) -> Timestamp {
        self.stack.clock.now()
    }

    pub(crate) async fn count(&self, sql: &str) -> i64 {
        self.owner.query_one(sql, &[]).await.unwrap().get(0)
    }
}
