//! Starting and stopping servers is waiting for processes and files, written without async and run
//! on a thread made for that.

/// Runs `work` where it may block.
pub(crate) async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    match tokio::task::spawn_blocking(work).await {
        Ok(done) => done,
        Err(error) => match error.try_into_panic() {
            Ok(panic) => std::panic::resume_unwind(panic),
            // Only a runtime that is being shut down cancels; nobody is left to wait for this.
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
