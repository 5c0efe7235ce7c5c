//! A function's process on AWS Lambda: initialization, the runtime, tasks that outlive a response, the system's clock
//! and randomness, logs, metrics and traces.

mod error;
mod init;
mod logging;
mod metrics;
mod nodelay;
pub mod otel;
mod serve;
mod start;
mod system;
mod tasks;

pub use error::StartError;
pub use init::Init;
pub use logging::begin_logging;
pub use metrics::{Metric, Unit, measure};
pub use serve::{HttpApp, serve_buffered, serve_events, serve_streaming};
pub use start::start;
pub use system::{process_env, system_clock, system_entropy};
pub use tasks::Tasks;
