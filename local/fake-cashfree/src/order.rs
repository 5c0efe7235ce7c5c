//! Orders and their payments: their states and rules.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::amount::Paise;
use crate::attempt::{Attempt, PayError};
use crate::create::NewOrder;
use crate::errors::ApiError;

/// `order_status`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum OrderStatus {
    /// Can be paid.
    Active,
    /// Paid once; further payments are refunded.
    Paid,
    /// Takes no new attempt. Becomes [`Paid`](Self::Paid) by one that began before.
    Expired,
    /// As [`Expired`](Self::Expired), by request.
    Terminated,
    /// To be terminated, while an attempt is in progress.
    TerminationRequested,
}

impl OrderStatus {
    /// As the API writes it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Active => "ACTIVE",
            Self::Paid => "PAID",
            Self::Expired => "EXPIRED",
            Self::Terminated => "TERMINATED",
            Self::TerminationRequested => "TERMINATION_REQUESTED",
        }
    }
}

/// `payment_status`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum PaymentStatus {
    /// Paid.
    Success,
    /// Refused.
    Failed,
    /// Left by the customer.
    UserDropped,
    /// In progress.
    Pending,
}

impl PaymentStatus {
    /// As the API writes it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Success => "SUCCESS",
            Self::Failed => "FAILED",
            Self::UserDropped => "USER_DROPPED",
            Self::Pending => "PENDING",
        }
    }

    pub(crate) fn message(self) -> &'static str {
        match self {
            Self::Success => "00::Transaction success",
            Self::Failed => "Transaction declined by the bank",
            Self::UserDropped => "User dropped and did not complete the two factor authentication",
            Self::Pending => "Transaction is pending",
        }
    }
}

#[derive(Serialize, Deserialize)]
pub(crate) struct Customer {
    pub(crate) id: String,
    pub(crate) name: Option<String>,
    pub(crate) email: Option<String>,
    pub(crate) phone: String,
}

#[derive(Default, Serialize, Deserialize)]
pub(crate) struct Meta {
    pub(crate) return_url: Option<String>,
    pub(crate) payment_methods: Option<String>,
    pub(crate) notify_url: Option<String>,
}

#[derive(Serialize, Deserialize)]
pub(crate) struct Order {
    pub(crate) id: String,
    pub(crate) cf_id: u64,
    pub(crate) session: String,
    pub(crate) amount: Paise,
    pub(crate) customer: Customer,
    pub(crate) meta: Meta,
    pub(crate) note: Option<String>,
    pub(crate) tags: Option<Map<String, Value>>,
    pub(crate) created_at: Timestamp,
    pub(crate) expires_at: Timestamp,
    /// As stored: an order whose time is over is still active here.
    stored: OrderStatus,
    pub(crate) payments: Vec<Payment>,
}

#[derive(Serialize, Deserialize)]
pub(crate) struct Payment {
    pub(crate) id: u64,
    pub(crate) attempt: Attempt,
    pub(crate) status: PaymentStatus,
    pub(crate) began_at: Timestamp,
    pub(crate) completed_at: Option<Timestamp>,
    pub(crate) is_refunded: bool,
}

/// What merchants are notified of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Event {
    Payment,
    AutoRefund,
}

impl Order {
    pub(crate) fn new(new: NewOrder, cf_id: u64, now: Timestamp) -> Self {
        Self {
            id: new.id.unwrap_or_else(|| format!("order_{cf_id}")),
            cf_id,
            session: format!("session_fake_{cf_id}"),
            amount: new.amount,
            customer: new.customer,
            meta: new.meta,
            note: new.note,
            tags: new.tags,
            created_at: now,
            expires_at: new.expires_at,
            stored: OrderStatus::Active,
            payments: Vec::new(),
        }
    }

    pub(crate) fn status(&self, now: Timestamp) -> OrderStatus {
        let is_over = self.stored == OrderStatus::Active && self.expires_at <= now;
        if is_over { OrderStatus::Expired } else { self.stored }
    }

    pub(crate) fn expire(&mut self, now: Timestamp) {
        self.expires_at = self.expires_at.min(now);
    }

    /// `PATCH /orders/{id}`. Only an active order can be terminated (*); a second request changes nothing.
    pub(crate) fn terminate(&mut self, now: Timestamp) -> Result<(), ApiError> {
        let is_pending = |payment: &Payment| payment.status == PaymentStatus::Pending;
        let status = self.status(now);
        match status {
            OrderStatus::Active if self.payments.iter().any(is_pending) => {
                self.stored = OrderStatus::TerminationRequested;
            }
            OrderStatus::Active => self.stored = OrderStatus::Terminated,
            OrderStatus::Terminated | OrderStatus::TerminationRequested => {}
            OrderStatus::Paid | OrderStatus::Expired => {
                let message = format!("order cannot be terminated, it is {}", status.as_str());
                return Err(ApiError::bad_request("order_termination_invalid", message));
            }
        }
        Ok(())
    }

    /// Begins an attempt, and ends it unless it is pending.
    pub(crate) fn pay(
        &mut self,
        id: u64,
        attempt: Attempt,
        now: Timestamp,
    ) -> Result<Vec<Event>, PayError> {
        let status = self.status(now);
        if status != OrderStatus::Active && !attempt.began_earlier {
            return Err(PayError::NotActive(status));
        }
        let outcome = attempt.status;
        let is_announced = attempt.is_announced;
        let began_at = if status == OrderStatus::Active { now } else { self.created_at };
        self.payments.push(Payment {
            id,
            attempt,
            status: PaymentStatus::Pending,
            began_at,
            completed_at: None,
            is_refunded: false,
        });
        Ok(match outcome {
            PaymentStatus::Pending if is_announced => vec![Event::Payment],
            PaymentStatus::Pending => Vec::new(),
            PaymentStatus::Success | PaymentStatus::Failed | PaymentStatus::UserDropped => {
                self.complete(id, outcome, now)?
            }
        })
    }

    /// Ends a pending payment.
    pub(crate) fn complete(
        &mut self,
        id: u64,
        status: PaymentStatus,
        now: Timestamp,
    ) -> Result<Vec<Event>, PayError> {
        let is_it =
            |payment: &&mut Payment| payment.id == id && payment.status == PaymentStatus::Pending;
        let payment = self.payments.iter_mut().find(is_it).ok_or(PayError::NotPending)?;
        payment.status = status;
        payment.completed_at = Some(now);
        if status != PaymentStatus::Success {
            return Ok(vec![Event::Payment]);
        }
        payment.is_refunded = self.stored == OrderStatus::Paid;
        self.stored = OrderStatus::Paid;
        Ok(if payment.is_refunded {
            vec![Event::Payment, Event::AutoRefund]
        } else {
            vec![Event::Payment]
        })
    }

    pub(crate) fn payment(&self, id: u64) -> Option<&Payment> {
        self.payments.iter().find(|payment| payment.id == id)
    }
}
