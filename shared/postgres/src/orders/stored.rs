//! Orders of a user's request: read, and changed in everything but their payment.

use jiff::{SignedDuration, Timestamp};
use shared_core::billing::{Offer, Order, OrderId, OrderState, Paise, PayerId, PlanId};
use shared_core::page::{Cursor, Page, PageRequest};
use shared_core::store::StoreError;
use tokio_postgres::Row;
use tokio_postgres::types::ToSql;
use uuid::Uuid;

use crate::Request;
use crate::connection::page::after;
use crate::error::DatabaseError;

/// An open order's period would begin when the user's last one ends.
macro_rules! columns {
    () => {
        "o.id, o.plan, o.price_paise, o.days, o.credits, o.state, o.created_at, o.expires_at, o.paid_at,
            case
              when o.state = 'paid' then e.starts_at
              when o.state in ('created', 'active') then greatest($2, (
                     select max(p.ends_at) from entitlements p where p.user_id = $1 and p.revoked_at is null
                   ))
            end as starts_at"
    };
}

const ORDER: &str = concat!(
    "select ",
    columns!(),
    ", o.payer, o.payment_session, c.phone
       from orders o
       left join entitlements e on e.order_id = o.id
       left join billing_contacts c on c.payer = o.payer
      where o.user_id = $1
        and o.id = $3"
);

const LIST: &str = concat!(
    "select ",
    columns!(),
    "  from orders o
       left join entitlements e on e.order_id = o.id
      where o.user_id = $1
        and (o.created_at, o.id) < ($3, $4)
      order by o.created_at desc, o.id desc
      limit $5"
);

/// One request at a time asks the provider.
const CLAIM_CHECK: &str = "
    update orders
       set asked_at = $2
     where id = $1
       and state in ('created', 'active')
       and (asked_at is null or asked_at <= $3)
    returning id";

const ACTIVATE: &str = "
    update orders
       set state = 'active',
           payment_session = $2
     where id = $1
       and state in ('created', 'active')";

const REMEMBER_PHONE: &str = "
    update billing_contacts
       set phone = $2
     where user_id = $1";

/// An order as it is stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredOrder {
    /// The order.
    pub order: Order,
    /// Stands for the user in the books.
    pub payer: PayerId,
    /// The provider's name for its payment page, encrypted; `None` if it is not known, or not payable any more.
    pub payment_session: Option<Vec<u8>>,
    /// The user's phone number, encrypted, if it is stored.
    pub phone: Option<Vec<u8>>,
}

impl Request<'_> {
    /// The user's order with this id.
    pub async fn order(&self, id: OrderId) -> Result<Option<StoredOrder>, StoreError> {
        let rows = self.query(ORDER, &[&self.session.user.0, &self.now, &id.0]).await?;
        Ok(rows.first().map(stored).transpose()?)
    }

    /// A page of the user's orders, newest first.
    pub async fn orders(&self, page: &PageRequest) -> Result<Page<Order>, StoreError> {
        let (at, id) = after(page);
        // A cursor of another list continues by its time alone.
        let id = Uuid::parse_str(id).unwrap_or_default();
        let params: &[&(dyn ToSql + Sync)] =
            &[&self.session.user.0, &self.now, &at, &id, &page.rows()];
        let rows = self.query(LIST, params).await?;
        let orders = rows.iter().map(order).collect::<Result<_, _>>()?;
        let cursor = |last: &Order| Cursor { at: last.created_at, id: last.id.to_string() };
        Ok(page.page(orders, cursor))
    }

    /// Whether this request may ask the provider about an open order: none has within `pause`.
    pub async fn claim_order_check(
        &self,
        id: OrderId,
        pause: SignedDuration,
    ) -> Result<bool, StoreError> {
        let asked_before = self.now - pause;
        Ok(!self.query(CLAIM_CHECK, &[&id.0, &self.now, &asked_before]).await?.is_empty())
    }

    /// Notes that the provider waits for the payment of an order, on a page with this encrypted name. A closed order
    /// stays closed.
    pub async fn activate_order(&self, id: OrderId, session: &[u8]) -> Result<(), StoreError> {
        self.query(ACTIVATE, &[&id.0, &session]).await?;
        Ok(())
    }

    /// Stores the user's encrypted phone number, or none. Without an order there is no row for it, and nothing is stored.
    pub async fn remember_phone(&self, phone: Option<&[u8]>) -> Result<(), StoreError> {
        self.query(REMEMBER_PHONE, &[&self.session.user.0, &phone]).await?;
        Ok(())
    }
}

fn stored(row: &Row) -> Result<StoredOrder, DatabaseError> {
    Ok(StoredOrder {
        order: order(row)?,
        payer: PayerId(row.try_get("payer")?),
        payment_session: row.try_get("payment_session")?,
        phone: row.try_get("phone")?,
    })
}

fn order(row: &Row) -> Result<Order, DatabaseError> {
    let plan = PlanId::parse(row.try_get("plan")?);
    Ok(Order {
        id: OrderId(row.try_get("id")?),
        offer: Offer {
            plan: plan.ok_or_else(|| DatabaseError::unexpected("an order's plan"))?,
            price: Paise::new(row.try_get::<_, i32>("price_paise")?.into()),
            days: row.try_get::<_, i32>("days")?.unsigned_abs(),
            credits: row.try_get::<_, i32>("credits")?.unsigned_abs(),
        },
        state: state(row)?,
        starts_at: row.try_get::<_, Option<Timestamp>>("starts_at")?,
        expires_at: row.try_get("expires_at")?,
        created_at: row.try_get("created_at")?,
        paid_at: row.try_get("paid_at")?,
    })
}

/// Reads `state`.
pub(super) fn state(row: &Row) -> Result<OrderState, DatabaseError> {
    OrderState::parse(row.try_get("state")?)
        .ok_or_else(|| DatabaseError::unexpected("an order's state"))
}
