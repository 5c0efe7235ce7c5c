//! Blocking code on threads of its own: starting and stopping servers means waiting for processes and
//! files, which is written without async.

/// Runs `work` on a thread that may block.
pub(crate) async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    match tokio::task::spawn_blocking(work).await {
        Ok(done) => done,
        Err(error) => match error.try_into_panic() {
            Ok(panic) => std::panic::resume_unwind(panic),
            // Only a shutdown of the runtime cancels a task, and then no caller is left to resume.
            Err(_) => std::future::pending().await,
        },
    }
}

/// Runs both at the same time.
pub(crate) fn both<A: Send, B>(
    first: impl FnOnce() -> A + Send,
    second: impl FnOnce() -> B,
) -> (A, B) {
    std::thread::scope(|threads| {
        let first = threads.spawn(first);
        let second = second();
        let first = first.join();
        (first.unwrap_or_else(|panic| std::panic::resume_unwind(panic)), second)
    })
}
