//! An emulator of Lambda's Runtime API, the interface between the Lambda service and a function.
//!
//! Every answer is recorded as the function put it on the wire, chunk by chunk, each with its arrival time,
//! so that a test can measure how long a client would have waited. AWS's own emulator (the RIE) delivers an
//! answer whole, and cannot break a stream.
//!
//! ```no_run
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! let api = runtime_api::RuntimeApi::start().await?;
//! // Start functions with AWS_LAMBDA_RUNTIME_API={api.address()}; each that asks is an environment.
//! let mut invocation = api.invoke(r#"{"httpMethod": "GET"}"#);
//! while let Some(chunk) = invocation.chunk().await? {
//!     println!("{} bytes at {:?}", chunk.bytes.len(), chunk.arrived);
//! }
//! # Ok(())
//! # }
//! ```
//!
//! Its sockets acknowledge as those of Lambda's own server do, which is written in Go: `TCP_NODELAY`
//! is set and `TCP_QUICKACK` is not, so a function that leaves Nagle's algorithm on is made to wait
//! for the kernel's delayed acknowledgement, as it would be in production.
//!
//! Protocol: <https://docs.aws.amazon.com/lambda/latest/dg/runtimes-api.html>, and for streams
//! <https://docs.aws.amazon.com/lambda/latest/dg/runtimes-custom.html#runtimes-custom-response-streaming>.

mod connection;
mod invocation;
mod lambda;
mod response;
mod wire;

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::net::TcpListener;
use tokio::task::JoinSet;

pub use crate::invocation::{Chunk, FunctionError, Invocation, InvocationError};
use crate::lambda::Lambda;
pub use crate::response::{LambdaResponse, Malformed, Prelude};

/// Timeout of an invocation, as in its deadline header; not enforced.
pub const TIMEOUT: Duration = Duration::from_mins(1);

/// A running emulator. It stops, and its connections end, when this is dropped.
pub struct RuntimeApi {
    address: SocketAddr,
    lambda: Arc<Lambda>,
    /// The accept loop. A set of one, because a set aborts its tasks when it is dropped.
    _server: JoinSet<()>,
}

impl RuntimeApi {
    /// Starts on a free loopback port.
    pub async fn start() -> io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let address = listener.local_addr()?;
        let lambda = Arc::new(Lambda::new());
        let mut server = JoinSet::new();
        server.spawn(connection::serve(listener, Arc::clone(&lambda)));
        Ok(Self { address, lambda, _server: server })
    }

    /// The value for `AWS_LAMBDA_RUNTIME_API`.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Hands `event` to the first environment that asks for one: at once if one is waiting.
    pub fn invoke(&self, event: impl Into<Bytes>) -> Invocation {
        self.lambda.invoke(event.into())
    }

    /// Waits until this many environments are idle, waiting for an event. One that has just answered becomes
    /// idle only after all work that Lambda would charge for.
    pub async fn until_idle(&self, environments: usize) {
        self.lambda.until_idle(environments).await;
    }

    /// The initialization errors that environments have reported, in order.
    pub fn init_errors(&self) -> Vec<FunctionError> {
        self.lambda.init_errors()
    }
}

impl std::fmt::Debug for RuntimeApi {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RuntimeApi").field("address", &self.address).finish_non_exhaustive()
    }
}
