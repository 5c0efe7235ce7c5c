//! The end of a process in the middle of its work.

use std::pin::pin;
use std::task::Poll;

/// Runs a future, and drops it if it has not ended after so many steps, as if its process were killed there.
pub(crate) async fn killed<F: Future>(after: Option<usize>, future: F) -> Option<F::Output> {
    let (mut future, mut left) = (pin!(future), after);
    std::future::poll_fn(move |context| match (future.as_mut().poll(context), &mut left) {
        (Poll::Ready(output), _) => Poll::Ready(Some(output)),
        (Poll::Pending, Some(0)) => Poll::Ready(None),
        (Poll::Pending, Some(left)) => {
            *left -= 1;
            Poll::Pending
        }
        (Poll::Pending, None) => Poll::Pending,
    })
    .await
}
