//! Subjects: separate processes, so that the resources of each are known. All but the peer are this program
//! with another command line.

use std::io::{self, Read};
use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use local::{DevMailbox, Product, Wiring};
use local_dynamodb::LocalDynamoDb;
use local_s3::LocalS3;
use local_stack::free_port;
use shared_core::billing::Plans;
use shared_core::env::Env;
use shared_core::models::ModelTable;
use shared_lambda::{begin_logging, process_env, system_clock, system_entropy};
use tokio::net::{TcpListener, TcpStream};
use tokio::process::{Child, Command};
use tokio::time::sleep;

use crate::usage::{cpu_of, peak_memory_of};
use crate::{Result, bare, bare_webhook, inspection, peer, upstream};

/// Where the S3 keeps its objects.
pub(crate) const S3_DIRECTORY: &str = "S3_DIRECTORY";

/// The timeout of a subject's start.
const PATIENCE: Duration = Duration::from_secs(10);

/// The program that a process runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Subject {
    /// The upstream. Called directly, it is the lower limit of everything else.
    Upstream,
    /// The DynamoDB of the inbox.
    DynamoDb,
    /// The S3 of users' files.
    S3,
    /// The baseline: the least that a turn can be.
    Bare,
    /// The baseline of the webhook.
    BareWebhook,
    /// The product, all functions on one port.
    Local,
    /// Inspects files, and does nothing else, so that its memory is what that takes.
    Inspection,
    /// The peer, a monolith on Bun and Hono.
    Bun,
}

impl Subject {
    /// Its name on the command line.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Upstream => "upstream",
            Self::DynamoDb => "dynamodb",
            Self::S3 => "s3",
            Self::Bare => "bare",
            Self::BareWebhook => "bare-webhook",
            Self::Local => "local",
            Self::Inspection => "inspection",
            Self::Bun => "bun",
        }
    }

    fn command(self) -> Result<Command> {
        if self == Self::Bun {
            return peer::command();
        }
        let mut command = Command::new("/proc/self/exe");
        command.env_clear().args(["subject", self.name()]);
        Ok(command)
    }
}

/// The variables of a subject, which the bench also uses to create sessions.
pub(crate) type Variables = Vec<(&'static str, String)>;

/// A running subject. Dropped, it ends.
pub(crate) struct Process {
    child: Child,
    /// The address that it listens on.
    pub(crate) address: SocketAddr,
}

impl Process {
    /// Starts `subject` and waits until it listens.
    pub(crate) async fn start(subject: Subject, variables: &Variables) -> Result<Self> {
        let port = free_port()?;
        let child = subject
            .command()?
            .envs(variables.iter().map(|(name, value)| (name, value)))
            .env("PORT", port.to_string())
            // A subject ends when this pipe closes, so it does not outlive a killed bench.
            .stdin(Stdio::piped())
            // The product writes its log there, as on Lambda, which is part of its cost.
            .stdout(Stdio::null())
            .kill_on_drop(true)
            .spawn()?;
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        let process = Self { child, address };
        let listening = async {
            while TcpStream::connect(address).await.is_err() {
                sleep(Duration::from_millis(5)).await;
            }
        };
        tokio::time::timeout(PATIENCE, listening)
            .await
            .map_err(|_| format!("{} does not listen", subject.name()))?;
        Ok(process)
    }

    /// The processor time that it has used so far.
    pub(crate) fn cpu(&self) -> Result<Duration> {
        cpu_of(&self.pid()?)
    }

    /// Its peak memory, in KiB.
    pub(crate) fn peak_memory(&self) -> Result<u64> {
        peak_memory_of(&self.pid()?)
    }

    fn pid(&self) -> Result<String> {
        Ok(self.child.id().ok_or("a subject has ended")?.to_string())
    }
}

/// The `main` of a subject's process. One thread, as on Lambda.
pub(crate) async fn run(name: &str) -> Result<()> {
    std::thread::spawn(|| {
        let _ = io::stdin().read(&mut [0]);
        std::process::exit(0);
    });
    let env = process_env();
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, env.parsed("PORT", 0)?));
    if name == "s3" {
        return s3(address, &env).await;
    }
    let listener = TcpListener::bind(address).await?;
    match name {
        "upstream" => Ok(upstream::serve(listener).await?),
        "dynamodb" => Ok(LocalDynamoDb::serve(listener).await?),
        "bare" => bare::serve(listener, &env).await,
        "bare-webhook" => bare_webhook::serve(listener, &env).await,
        "local" => local(listener, &env).await,
        "inspection" => inspection::serve(listener).await,
        _ => Err(format!("there is no subject {name:?}").into()),
    }
}

async fn s3(address: SocketAddr, env: &Env<'_>) -> Result<()> {
    let directory = env.required(S3_DIRECTORY)?;
    let _s3 = LocalS3::keeping(Path::new(&directory), address, &[]).await?;
    std::future::pending().await
}

/// The product as deployed: the same app, the same JSON logs.
async fn local(listener: TcpListener, env: &Env<'_>) -> Result<()> {
    begin_logging(true);
    let clock = system_clock();
    let wiring = Wiring {
        mailbox: DevMailbox::new(clock.clone(), None),
        clock,
        entropy: system_entropy(),
        table: ModelTable::compiled_in()?,
        plans: Plans::compiled_in()?,
        sweeper: None,
    };
    let product = Product::new(env, wiring)?;
    Ok(product.serve(listener, std::future::pending(), Duration::ZERO).await?)
}
