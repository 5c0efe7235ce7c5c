//! The database for payments: records them, and gives what they buy.
//!
//! The webhook's role, `app_money`, has the tables of money and neither chats nor keys, because it serves the internet
//! without a session. Jobs have the same rights to those tables.

use jiff::Timestamp;
use serde::Serialize;
use shared_core::billing::{Fulfilment, OrderId, Paise, PaymentAttempt};
use shared_core::clock::Clock;
use shared_core::env::{ConfigError, Env};
use shared_core::store::StoreError;
use tokio_postgres::types::Json;

use crate::error::DatabaseError;
use crate::{Database, DatabaseConfig, Jobs};

const FULFIL: &str = "select fulfil_order($1, $2, $3) as result";

/// The database, for payments.
#[derive(Clone, Debug)]
pub struct Payments {
    pub(crate) database: Database,
}

/// The `attempt` of `fulfil_order`.
#[derive(Debug, Serialize)]
struct Attempt<'a> {
    payment: &'a str,
    status: &'a str,
    order_amount: &'a str,
    currency: &'a str,
    paise: Option<Paise>,
    amount: Option<&'a str>,
    made_at: Option<Timestamp>,
}

impl Payments {
    /// The database of `MONEY_DATABASE_URL` and the other variables of [`DatabaseConfig`].
    pub fn from_env(env: &Env<'_>, clock: Clock) -> Result<Self, ConfigError> {
        Self::new(&DatabaseConfig::for_payments(env)?, clock)
    }

    /// Prepares the pool, without connecting. The clock dates IAM tokens.
    pub fn new(config: &DatabaseConfig, clock: Clock) -> Result<Self, ConfigError> {
        Database::as_role("app_money", config, clock).map(|database| Self { database })
    }

    /// Opens a connection if none is open.
    pub async fn warm(self) -> Result<(), StoreError> {
        self.database.warm().await
    }

    /// Records a payment attempt, and gives what its order buys if it is paid by it. Idempotent.
    pub async fn fulfil(
        &self,
        attempt: &PaymentAttempt,
        now: Timestamp,
    ) -> Result<Fulfilment, StoreError> {
        // Another deployment's order, or another program's.
        let Some(order) = OrderId::parse(&attempt.order) else {
            return Ok(Fulfilment::UnknownOrder);
        };
        let fields = Attempt {
            payment: &attempt.payment,
            status: &attempt.status,
            order_amount: &attempt.order_amount,
            currency: &attempt.currency,
            paise: Paise::parse(&attempt.order_amount),
            amount: attempt.amount.as_deref(),
            made_at: attempt.at,
        };
        let rows = self.database.query(FULFIL, &[&order.0, &now, &Json(&fields)]).await?;
        let row = rows.first().ok_or_else(|| DatabaseError::unexpected("no result"))?;
        let result = Fulfilment::parse(row.try_get("result").map_err(DatabaseError::from)?);
        Ok(result.ok_or_else(|| DatabaseError::unexpected("a fulfilment's result"))?)
    }
}

impl Jobs {
    /// The database for payments, with the rights of jobs.
    pub fn payments(&self) -> Payments {
        Payments { database: self.database.clone() }
    }
}
