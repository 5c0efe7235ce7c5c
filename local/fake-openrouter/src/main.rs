//! The fake `OpenRouter` as a process, on `127.0.0.1:$PORT` (default 28080).

use std::io::{self, Write as _};
use std::net::{Ipv4Addr, SocketAddr};

use fake_openrouter::FakeOpenRouter;

const DEFAULT_PORT: u16 = 28080;

// One thread: it spends its time waiting, and a benchmark needs the other cores.
#[tokio::main(flavor = "current_thread")]
async fn main() -> io::Result<()> {
    let port = match std::env::var("PORT") {
        Ok(port) => port.parse().map_err(|_| {
            io::Error::new(io::ErrorKind::InvalidInput, format!("PORT is no port: {port:?}"))
        })?,
        Err(_) => DEFAULT_PORT,
    };
    let fake = FakeOpenRouter::start_on(SocketAddr::from((Ipv4Addr::LOCALHOST, port))).await?;
    writeln!(io::stdout(), "fake OpenRouter on {}", fake.base_url())?;
    std::future::pending().await
}
