//! Which cancelled transactions are retried.

use aws_sdk_dynamodb::config::interceptors::InterceptorContext;
use aws_sdk_dynamodb::config::retry::{ClassifyRetry, RetryAction};
use aws_sdk_dynamodb::error::SdkError;
use aws_sdk_dynamodb::operation::put_item::PutItemError;
use aws_sdk_dynamodb::operation::transact_write_items::TransactWriteItemsError;
use aws_sdk_dynamodb::types::CancellationReason;
use aws_smithy_runtime_api::client::orchestrator::OrchestratorError;

/// Retries transactions that were cancelled because of contention or throttling. The SDK leaves [that][1]
/// to its users, as a cancelled transaction may also be one that can never succeed.
///
/// [1]: https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_TransactWriteItems.html
#[derive(Debug)]
pub(crate) struct Contention;

impl ClassifyRetry for Contention {
    fn classify_retry(&self, context: &InterceptorContext) -> RetryAction {
        let error = context.output_or_error().and_then(Result::err);
        let Some(error) = error.and_then(OrchestratorError::as_operation_error) else {
            return RetryAction::NoActionIndicated;
        };
        // A write of one item that meets a transaction.
        if let Some(PutItemError::TransactionConflictException(_)) = error.downcast_ref() {
            return RetryAction::transient_error();
        }
        let error = error.downcast_ref::<TransactWriteItemsError>();
        let passing = ["TransactionConflict", "ThrottlingError", "ProvisionedThroughputExceeded"];
        let codes = || error.into_iter().flat_map(codes);
        // A condition that failed will fail again.
        if codes().any(|code| passing.contains(&code)) && !codes().any(|code| code == FAILED) {
            RetryAction::transient_error()
        } else {
            RetryAction::NoActionIndicated
        }
    }

    fn name(&self) -> &'static str {
        "Contention"
    }
}

const FAILED: &str = "ConditionalCheckFailed";

/// Whether a transaction was cancelled because the condition of one of its items does not hold.
pub(crate) fn condition_failed<R>(error: &SdkError<TransactWriteItemsError, R>) -> bool {
    error.as_service_error().is_some_and(|error| codes(error).any(|code| code == FAILED))
}

/// The codes of a cancelled transaction, one for each item.
fn codes(error: &TransactWriteItemsError) -> impl Iterator<Item = &str> {
    let reasons = if let TransactWriteItemsError::TransactionCanceledException(cancelled) = error {
        cancelled.cancellation_reasons()
    } else {
        &[]
    };
    reasons.iter().filter_map(CancellationReason::code)
}
