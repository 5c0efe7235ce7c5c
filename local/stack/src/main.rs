//! `local-stack run | stop-test-servers | forget`: the servers without the product.

use std::io::{self, Write as _};
use std::process::ExitCode;

use local_stack::{Servers, Settings, StackError};
use shared_core::env::Env;
use tokio::signal::unix::{SignalKind, signal};

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let wanted = std::env::args().nth(1).unwrap_or_default();
    let done = match wanted.as_str() {
        "run" => run().await,
        "stop-test-servers" => local_stack::stop_test_servers().await,
        "forget" => forget().await,
        _ => {
            say("usage: local-stack run | stop-test-servers | forget");
            return ExitCode::FAILURE;
        }
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            say(&error.to_string());
            ExitCode::FAILURE
        }
    }
}

async fn run() -> Result<(), StackError> {
    // Signals are handled from the beginning: an unhandled one would end this process and leave its servers
    // running.
    let asked_to_end = (signal(SignalKind::interrupt()), signal(SignalKind::terminate()));
    let servers = Servers::start(settings()?).await?;
    say(&format!(
        "DATABASE_URL={}\nDATABASE_OWNER_URL={}\nCACHE_URL={}",
        servers.database_url(),
        servers.database_owner_url(),
        servers.cache_url()
    ));
    if let (Ok(mut interrupt), Ok(mut terminate)) = asked_to_end {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
    }
    servers.stop().await;
    Ok(())
}

async fn forget() -> Result<(), StackError> {
    local_stack::forget(settings()?).await
}

fn settings() -> Result<Settings, StackError> {
    let env = Env::new(|name| std::env::var(name).ok());
    Ok(Settings::from_env(&env)?)
}

fn say(line: &str) {
    // A closed terminal is no reason to fail.
    let _ = writeln!(io::stdout(), "{line}");
}
