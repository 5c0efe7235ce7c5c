//! Attempts to pay, and the webhooks that they cause.

use std::sync::Arc;

use jiff::Timestamp;

use crate::attempt::{Attempt, PayError};
use crate::memory::{Memory, State};
use crate::order::{Event, PaymentStatus};
use crate::sender;
use crate::webhook::Delivery;

impl Memory {
    /// Pays an order, and returns the payment's id.
    pub(crate) fn pay(self: &Arc<Self>, order: &str, attempt: Attempt) -> Result<u64, PayError> {
        let now = self.now();
        let mut state = self.state();
        let id = state.next_id();
        let order = state.order_mut(order).ok_or(PayError::UnknownOrder)?;
        let events = order.pay(id, attempt, now)?;
        state.keep_orders();
        self.notify(&mut state, id, events, now);
        Ok(id)
    }

    /// Makes a pending payment succeed.
    pub(crate) fn settle(self: &Arc<Self>, id: u64) -> Result<(), PayError> {
        let now = self.now();
        let mut state = self.state();
        let order = state.orders.iter_mut().find(|order| order.payment(id).is_some());
        let order = order.ok_or(PayError::NotPending)?;
        let events = order.complete(id, PaymentStatus::Success, now)?;
        state.keep_orders();
        self.notify(&mut state, id, events, now);
        Ok(())
    }

    /// Makes a webhook of each event of a payment, and sends it unless it is held or lost.
    fn notify(
        self: &Arc<Self>,
        state: &mut State,
        payment: u64,
        events: Vec<Event>,
        now: Timestamp,
    ) {
        let mut ready = Vec::new();
        for event in events {
            let Some(delivery) = state.orders.iter().find_map(|order| {
                let signing = (state.sending.version, now, state.webhook_secret());
                Some(Delivery::new(order, order.payment(payment)?, event, signing))
            }) else {
                return;
            };
            state.deliveries.push(delivery);
            let index = state.deliveries.len() - 1;
            if state.sending.lose > 0 {
                state.sending.lose -= 1;
            } else if state.sending.hold {
                state.held.push(index);
            } else {
                ready.push(index);
            }
        }
        if !ready.is_empty() {
            self.spawn(sender::send(Arc::clone(self), ready));
        }
    }
}
