//! Asks the payment provider about orders: about unpaid ones ever less often, for seven days, because a webhook can be
//! lost; and daily about those that were paid in the last seven days, because the books have to agree.

use std::time::Duration;

use jiff::Timestamp;
use shared_cashfree::{ProviderOrder, ProviderState};
use shared_core::billing::{CURRENCY, Fulfilment, OrderState, Paise, next_check, next_comparison};
use shared_core::store::StoreError;
use shared_postgres::OrderToCheck;

use crate::provider::{Asked, MISMATCHES, Provider};
use crate::report::Counter;
use crate::{Run, WorkError};

/// Orders about which the provider was asked.
const CHECKED: Counter = Counter::of_work("ordersChecked");
/// Orders, older than a day, that the provider calls paid and that are not fulfilled.
const STUCK: Counter = Counter::of_state("ordersStuck").with_metric("OrdersStuck");
/// What this work reports.
pub(crate) const COUNTERS: [Counter; 2] = [CHECKED, STUCK];

const PAGE: u32 = 50;
/// When an order is checked again whose check has failed, or that is paid by a payment which the provider does not list
/// yet.
const SOON: Duration = Duration::from_mins(10);

/// What a check has led to.
enum Checked {
    /// The provider is asked again then, or not any more.
    Again(Option<Timestamp>),
    /// The order is fulfilled, which has set its next check.
    Fulfilled,
    /// The provider could not be asked.
    NotNow,
}

pub(crate) async fn check(run: &mut Run<'_>) -> Result<(), WorkError> {
    let Some(mut provider) = Provider::new(run) else { return Ok(()) };
    let checked = check_all(run, &mut provider).await;
    let stuck = run.payments().stuck_orders(run.deps.clock.now()).await?;
    for order in &stuck.newest {
        tracing::error!(%order, "the payment provider calls an order paid that is not fulfilled");
    }
    run.report.set(STUCK, stuck.count);
    checked?;
    provider.finish()
}

/// Passes over what fails: a run comes to each order once, and an order that fails each time does not block those behind
/// it.
async fn check_all(run: &mut Run<'_>, provider: &mut Provider<'_>) -> Result<(), StoreError> {
    let (mut last, mut failure) = (None, Ok(()));
    loop {
        let now = run.deps.clock.now();
        let page =
            run.payments().orders_to_check(provider.mode(), now, last.as_ref(), PAGE).await?;
        if page.is_empty() {
            return failure;
        }
        for order in page {
            if run.is_out_of_time() {
                return failure;
            }
            match check_one(run, provider, &order).await {
                Ok(Checked::NotNow) => return failure,
                Ok(Checked::Fulfilled) => {}
                Ok(Checked::Again(at)) => schedule(run, &order, at).await?,
                Err(error) => {
                    failure = Err(rejected(run, &order, error).await?);
                }
            }
            run.report.add(CHECKED, 1);
            last = Some(order);
        }
    }
}

/// Sets when the provider is asked about an order next.
async fn schedule(
    run: &Run<'_>,
    order: &OrderToCheck,
    at: Option<Timestamp>,
) -> Result<(), StoreError> {
    run.payments().schedule_check(order.id, order.check_at, at).await
}

/// Postpones an order that Postgres rejects although it is available. Returns the error again, for the end of the run.
async fn rejected(
    run: &Run<'_>,
    order: &OrderToCheck,
    error: StoreError,
) -> Result<StoreError, StoreError> {
    if !run.can_reach_postgres().await {
        return Err(error);
    }
    tracing::error!(order = %order.id, %error, "what the payment provider says of an order cannot be stored");
    // Postgres may reject this, too: then the next run begins with it.
    let _ = schedule(run, order, Some(run.deps.clock.now() + SOON)).await;
    Ok(error)
}

async fn check_one(
    run: &mut Run<'_>,
    provider: &mut Provider<'_>,
    order: &OrderToCheck,
) -> Result<Checked, StoreError> {
    let now = run.deps.clock.now();
    let answer = match provider.order(run, order.id).await {
        Asked::Answer(answer) => Some(answer),
        Asked::Unknown => None,
        Asked::Failed => return Ok(Checked::Again(Some(now + SOON))),
        Asked::NotNow => return Ok(Checked::NotNow),
    };
    if let Some(paid_at) = order.paid_at {
        compare(run, order, answer.as_ref());
        return Ok(Checked::Again(next_comparison(paid_at, now)));
    }
    let asked = match answer {
        Some(answer) if answer.state == ProviderState::Paid => {
            return fulfil(run, provider, order, now).await;
        }
        Some(answer) => note_unpaid(run, provider, order, &answer).await?,
        None => {
            // Made here, and never there.
            if order.expires_at <= now {
                run.payments().close_order(order.id, OrderState::Expired).await?;
            }
            Asked::Unknown
        }
    };
    Ok(match asked {
        Asked::Answer(()) | Asked::Unknown => Checked::Again(next_check(order.created_at, now)),
        Asked::Failed => Checked::Again(Some(now + SOON)),
        Asked::NotNow => Checked::NotNow,
    })
}

/// Fulfils an order that the provider calls paid.
async fn fulfil(
    run: &mut Run<'_>,
    provider: &mut Provider<'_>,
    order: &OrderToCheck,
    now: Timestamp,
) -> Result<Checked, StoreError> {
    run.payments().note_reported_paid(order.id, now).await?;
    Ok(match provider.fulfil(run, order.id).await? {
        Asked::NotNow => Checked::NotNow,
        Asked::Answer(results) if results.contains(&Fulfilment::Fulfilled) => Checked::Fulfilled,
        Asked::Answer(results) if !results.is_empty() => {
            Checked::Again(next_check(order.created_at, now))
        }
        Asked::Answer(_) | Asked::Unknown | Asked::Failed => Checked::Again(Some(now + SOON)),
    })
}

/// Notes the provider's state of an order that is not paid.
async fn note_unpaid(
    run: &mut Run<'_>,
    provider: &mut Provider<'_>,
    order: &OrderToCheck,
    answer: &ProviderOrder,
) -> Result<Asked<()>, StoreError> {
    let payments = run.payments();
    match (answer.state, order.state) {
        // Its termination did not arrive there.
        (ProviderState::Active, OrderState::Terminated) => {
            return Ok(provider.terminate(run, order.id).await);
        }
        // Its creation was not acknowledged.
        (ProviderState::Active, OrderState::Created) => payments.activate_order(order.id).await?,
        (ProviderState::Expired, _) => {
            payments.close_order(order.id, OrderState::Expired).await?;
        }
        (ProviderState::Terminated | ProviderState::TerminationRequested, _) => {
            payments.close_order(order.id, OrderState::Terminated).await?;
        }
        (ProviderState::Active | ProviderState::Paid | ProviderState::Other, _) => {}
    }
    Ok(Asked::Answer(()))
}

/// Compares a paid order with the provider's, if it knows it.
fn compare(run: &mut Run<'_>, order: &OrderToCheck, answer: Option<&ProviderOrder>) {
    let agrees = answer.is_some_and(|answer| {
        answer.state == ProviderState::Paid
            && answer.currency == CURRENCY
            && Paise::parse(&answer.amount) == Some(order.price)
    });
    if !agrees {
        tracing::error!(order = %order.id, "the payment provider does not call a paid order paid, or not so much");
        run.report.add(MISMATCHES, 1);
    }
}
