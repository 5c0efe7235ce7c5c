//! What the provider says of orders, and when it is asked next.

use jiff::{SignedDuration, Timestamp};
use shared_core::billing::{OrderId, OrderState, Paise};
use shared_core::store::StoreError;
use tokio_postgres::Row;
use uuid::Uuid;

use super::stored::state;
use crate::error::DatabaseError;
use crate::{Payments, Request};

/// An order that the provider still takes to be unpaid for so long although it was paid is stuck.
const STUCK_AFTER: SignedDuration = SignedDuration::from_hours(24);

const CLOSE: &str = "
    update orders
       set state = $2::text
     where id = $1
       and state in ('created', 'active')";

const REPORT_PAID: &str = "
    update orders
       set reported_paid_at = $2
     where id = $1
       and state <> 'paid'
       and reported_paid_at is null";

const DUE: &str = "
    select id, state, price_paise, created_at, expires_at, paid_at, check_at
      from orders
     where check_at <= $1
       and (check_at, id) > ($2, $3)
       and mode = $4
     order by check_at, id
     limit $5";

/// Unless somebody else has set it meanwhile: who fulfils the order does.
const SCHEDULE: &str = "
    update orders
       set check_at = $3
     where id = $1
       and check_at = $2";

const KNOWS: &str = "
    select exists (select from orders where id = $1)";

const ACTIVATE: &str = "
    update orders
       set state = 'active'
     where id = $1
       and state = 'created'";

/// Brings the next check forward.
const RECHECK: &str = "
    update orders
       set check_at = least(check_at, $2)
     where id = $1
       and state <> 'paid'";

/// What is recorded and gave nothing has raised an alarm of its own.
const STUCK: &str = "
    select id, count(*) over () as of_all
      from orders o
     where reported_paid_at is not null
       and created_at < $1
       and not exists (select from payments p where p.order_id = o.id and p.status = 'SUCCESS')
     order by reported_paid_at desc
     limit 10";

/// An order about which the provider is asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OrderToCheck {
    /// Its id.
    pub id: OrderId,
    /// Its state here.
    pub state: OrderState,
    /// Its price.
    pub price: Paise,
    /// When it was made.
    pub created_at: Timestamp,
    /// Until when it can be paid.
    pub expires_at: Timestamp,
    /// When it was paid.
    pub paid_at: Option<Timestamp>,
    /// Since when it is due.
    pub check_at: Timestamp,
}

/// Orders that the provider calls paid and that are not fulfilled.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StuckOrders {
    /// How many there are.
    pub count: u64,
    /// At most ten of them, those that were reported last.
    pub newest: Vec<OrderId>,
}

impl Request<'_> {
    /// Closes an open order of the user as expired or terminated. It may still become paid.
    pub async fn close_order(&self, id: OrderId, state: OrderState) -> Result<(), StoreError> {
        self.query(CLOSE, &[&id.0, &state.as_str()]).await?;
        Ok(())
    }

    /// Notes that the provider calls an order paid, until it is fulfilled.
    pub async fn note_reported_paid(&self, id: OrderId) -> Result<(), StoreError> {
        self.query(REPORT_PAID, &[&id.0, &self.now]).await?;
        Ok(())
    }
}

impl Payments {
    /// Closes an open order as expired or terminated. It may still become paid.
    pub async fn close_order(&self, id: OrderId, state: OrderState) -> Result<(), StoreError> {
        self.database.query(CLOSE, &[&id.0, &state.as_str()]).await?;
        Ok(())
    }

    /// Notes that the provider calls an order paid, until it is fulfilled.
    pub async fn note_reported_paid(&self, id: OrderId, now: Timestamp) -> Result<(), StoreError> {
        self.database.query(REPORT_PAID, &[&id.0, &now]).await?;
        Ok(())
    }

    /// At most `limit` orders of the provider's environment `mode` about which it is to be asked now, those that wait
    /// longest first: from the beginning, or after the last one of the page before.
    pub async fn orders_to_check(
        &self,
        mode: &str,
        now: Timestamp,
        after: Option<&OrderToCheck>,
        limit: u32,
    ) -> Result<Vec<OrderToCheck>, StoreError> {
        let beginning = (Timestamp::UNIX_EPOCH, Uuid::nil());
        let (at, id) = after.map_or(beginning, |order| (order.check_at, order.id.0));
        let rows = self.database.query(DUE, &[&now, &at, &id, &mode, &i64::from(limit)]).await?;
        Ok(rows.iter().map(order_to_check).collect::<Result<_, _>>()?)
    }

    /// Sets when the provider is asked about an order next; `None`: not any more. `was` is when it was due.
    pub async fn schedule_check(
        &self,
        id: OrderId,
        was: Timestamp,
        at: Option<Timestamp>,
    ) -> Result<(), StoreError> {
        self.database.query(SCHEDULE, &[&id.0, &was, &at]).await?;
        Ok(())
    }

    /// Has the provider asked about an unpaid order at `at`, if not sooner.
    pub async fn recheck_order(&self, id: OrderId, at: Timestamp) -> Result<(), StoreError> {
        self.database.query(RECHECK, &[&id.0, &at]).await?;
        Ok(())
    }

    /// Whether there is such an order.
    pub async fn knows_order(&self, id: OrderId) -> Result<bool, StoreError> {
        let rows = self.database.query(KNOWS, &[&id.0]).await?;
        let row = rows.first().ok_or_else(|| DatabaseError::unexpected("no result"))?;
        Ok(row.try_get(0).map_err(DatabaseError::from)?)
    }

    /// Notes that the provider waits for the payment of an order.
    pub async fn activate_order(&self, id: OrderId) -> Result<(), StoreError> {
        self.database.query(ACTIVATE, &[&id.0]).await?;
        Ok(())
    }

    /// Orders, older than a day, that the provider calls paid and that are not fulfilled.
    pub async fn stuck_orders(&self, now: Timestamp) -> Result<StuckOrders, StoreError> {
        let rows = self.database.query(STUCK, &[&(now - STUCK_AFTER)]).await?;
        let ids = rows.iter().map(|row| row.try_get("id").map(OrderId));
        let count = rows.first().map(|row| row.try_get::<_, i64>("of_all")).transpose();
        Ok(StuckOrders {
            count: count.map_err(DatabaseError::from)?.unwrap_or(0).unsigned_abs(),
            newest: ids.collect::<Result<_, _>>().map_err(DatabaseError::from)?,
        })
    }
}

fn order_to_check(row: &Row) -> Result<OrderToCheck, DatabaseError> {
    Ok(OrderToCheck {
        id: OrderId(row.try_get("id")?),
        state: state(row)?,
        price: Paise::new(row.try_get::<_, i32>("price_paise")?.into()),
        created_at: row.try_get("created_at")?,
        expires_at: row.try_get("expires_at")?,
        paid_at: row.try_get("paid_at")?,
        check_at: row.try_get("check_at")?,
    })
}
