//! Fulfils deliveries of the payment provider's webhook that wait in the inbox: Postgres was unavailable when they came,
//! or they are stale and count only if the provider confirms them.

use std::time::Duration;

use shared_billing::{DELIVERIES, StoredDelivery};
use shared_cashfree::ProviderState;
use shared_core::billing::{Fulfilment, OrderId, PaymentAttempt};
use shared_core::store::StoreError;
use shared_inbox::WaitingItem;

use crate::inbox::{Drain, Processed};
use crate::provider::{Asked, Provider, count};
use crate::report::Counter;
use crate::{Run, WorkError};

/// Deliveries that were processed.
const PROCESSED: Counter = Counter::of_work("deliveriesProcessed");
/// Deliveries left in the inbox after that.
const WAITING: Counter = Counter::of_state("deliveriesWaiting").with_metric("DeliveriesWaiting");
/// Of these, deliveries that Postgres rejected although it was available, or that cannot be read.
const FAILED: Counter = Counter::of_state("deliveriesFailed").with_metric("DeliveriesFailed");
/// What this work reports.
pub(crate) const COUNTERS: [Counter; 3] = [PROCESSED, WAITING, FAILED];

/// When the provider is asked again about an order that it does not confirm to be paid.
const UNCONFIRMED: Duration = Duration::from_mins(10);

pub(crate) async fn process(run: &mut Run<'_>) -> Result<(), WorkError> {
    // The checks of orders find what these deliveries report, too: deliveries that fail each time must not use up the
    // requests of a run.
    let mut provider = Provider::new(run).map(Provider::by_half);
    let mut items = Drain::new(DELIVERIES);
    let processed = process_all(run, &mut items, provider.as_mut()).await;
    let left = items.left(run).await?;
    if run.deps.cashfree.is_some() {
        run.report.set(WAITING, left.waiting);
        run.report.set(FAILED, left.failed);
    }
    processed?;
    provider.map_or(Ok(()), Provider::finish)
}

async fn process_all(
    run: &mut Run<'_>,
    items: &mut Drain,
    mut provider: Option<&mut Provider<'_>>,
) -> Result<(), WorkError> {
    while let Some(waiting) = items.next(run).await? {
        let processed = process_one(run, provider.as_deref_mut(), &waiting).await;
        items.settle(run, &waiting, processed).await?;
    }
    Ok(())
}

async fn process_one(
    run: &mut Run<'_>,
    provider: Option<&mut Provider<'_>>,
    waiting: &WaitingItem,
) -> Processed {
    let Ok(delivery) = StoredDelivery::read(&waiting.item) else { return Processed::Unreadable };
    let processed = match delivery.attempt() {
        None => Ok(Processed::Done("nothing to do")),
        Some(attempt) if delivery.is_stale => confirm(run, provider, attempt).await,
        Some(attempt) => fulfil(run, attempt).await,
    };
    let processed = processed.unwrap_or_else(Processed::Rejected);
    if matches!(processed, Processed::Done(_) | Processed::Archived(_)) {
        run.report.add(PROCESSED, 1);
    }
    processed
}

async fn fulfil(run: &mut Run<'_>, attempt: &PaymentAttempt) -> Result<Processed, StoreError> {
    let result = run.payments().fulfil(attempt, run.deps.clock.now()).await?;
    if result == Fulfilment::UnknownOrder {
        return Ok(Processed::Archived(result.as_str()));
    }
    if let Some(order) = OrderId::parse(&attempt.order) {
        count(run, order, result);
    }
    Ok(Processed::Done(result.as_str()))
}

/// Of a stale delivery only the order is believed: the provider says whether that is paid, and by what.
async fn confirm(
    run: &mut Run<'_>,
    provider: Option<&mut Provider<'_>>,
    attempt: &PaymentAttempt,
) -> Result<Processed, StoreError> {
    let Some(order) = known_order(run, attempt).await? else {
        return Ok(Processed::Archived(Fulfilment::UnknownOrder.as_str()));
    };
    if !attempt.is_success() {
        return Ok(Processed::Done("unconfirmed"));
    }
    let Some(provider) = provider else { return Ok(Processed::Waits) };
    match provider.order(run, order).await {
        Asked::Answer(asked) if asked.state == ProviderState::Paid => {}
        Asked::Answer(_) | Asked::Unknown => {
            // The provider may say so later, also of an order about which it is not asked any more.
            let again = run.deps.clock.now() + UNCONFIRMED;
            run.payments().recheck_order(order, again).await?;
            return Ok(Processed::Done("unconfirmed"));
        }
        Asked::Failed | Asked::NotNow => return Ok(Processed::Waits),
    }
    run.payments().note_reported_paid(order, run.deps.clock.now()).await?;
    Ok(match provider.fulfil(run, order).await? {
        Asked::Answer(results) if !results.is_empty() => Processed::Done("confirmed"),
        Asked::Answer(_) | Asked::Unknown | Asked::Failed | Asked::NotNow => Processed::Waits,
    })
}

/// The order of an attempt, if it is one of ours: others cost the provider no request.
async fn known_order(
    run: &Run<'_>,
    attempt: &PaymentAttempt,
) -> Result<Option<OrderId>, StoreError> {
    let Some(order) = OrderId::parse(&attempt.order) else { return Ok(None) };
    Ok(run.payments().knows_order(order).await?.then_some(order))
}
