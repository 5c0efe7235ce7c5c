//! The servers of `make dev`, each test in a `.local` directory of its own.
#![expect(clippy::unwrap_used, reason = "helpers of tests: unwrapping is how they fail")]

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::net::TcpListener;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant, SystemTime};

use local_stack::{Servers, Settings, StackError, forget, free_port};
use tokio_postgres::{NoTls, SimpleQueryMessage};

fn local_dir() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../.local")
}

/// A `.local` directory of mode 0700, and ports that no other test uses.
struct Checkout {
    directory: PathBuf,
    postgres_port: u16,
    cache_port: u16,
}

impl Checkout {
    fn new() -> Self {
        let age = SystemTime::UNIX_EPOCH.elapsed().unwrap().as_nanos();
        let directory = std::env::temp_dir().join(format!("checkout-{age}"));
        fs::create_dir(&directory).unwrap();
        fs::set_permissions(&directory, fs::Permissions::from_mode(0o700)).unwrap();
        let install = Path::new(env!("CARGO_MANIFEST_DIR")).join("../install");
        let installed = Command::new(install).env_remove("LOCAL_DIR").output().unwrap();
        assert!(installed.status.success(), "{}", String::from_utf8_lossy(&installed.stderr));
        symlink(local_dir().join("bin"), directory.join("bin")).unwrap();
        Self { directory, postgres_port: free_port().unwrap(), cache_port: free_port().unwrap() }
    }

    /// With copies of the programs, so that they too lie under mode 0700.
    fn with_programs() -> Self {
        let checkout = Self::new();
        fs::remove_file(checkout.directory.join("bin")).unwrap();
        for part in ["bin", "tools"] {
            let copied = Command::new("cp")
                .arg("-R")
                .args([local_dir().join(part), checkout.directory.join(part)])
                .status();
            assert!(copied.unwrap().success());
        }
        checkout
    }

    fn settings(&self) -> Settings {
        Settings {
            local_dir: self.directory.clone(),
            postgres_port: self.postgres_port,
            cache_port: self.cache_port,
            database_url: None,
            database_owner_url: None,
            cache_url: None,
        }
    }

    /// Valkey alone: it starts in a tenth of a second, a new Postgres in a second.
    fn settings_without_postgres(&self) -> Settings {
        Settings { database_url: Some("postgres://elsewhere/app".to_owned()), ..self.settings() }
    }

    /// Another process that owns the servers, once they are ready.
    fn owner(&self) -> Child {
        let mut owner = Command::new(env!("CARGO_BIN_EXE_local-stack"))
            .arg("run")
            .env("LOCAL_DIR", &self.directory)
            .env("LOCAL_POSTGRES_PORT", self.postgres_port.to_string())
            .env("LOCAL_CACHE_PORT", self.cache_port.to_string())
            .env_remove("DATABASE_URL")
            .env_remove("CACHE_URL")
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        let mut out = BufReader::new(owner.stdout.take().unwrap());
        out.read_line(&mut line).unwrap();
        assert!(line.starts_with("DATABASE_URL="), "{line}");
        owner
    }
}

impl Drop for Checkout {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.directory);
    }
}

async fn query(url: &str, statement: &str) -> Option<String> {
    let (client, connection) = tokio_postgres::connect(url, NoTls).await.unwrap();
    let answer = async {
        let answer = client.simple_query(statement).await.unwrap();
        drop(client);
        answer
    };
    let (answer, _) = tokio::join!(answer, connection);
    answer.iter().find_map(|message| {
        if let SimpleQueryMessage::Row(row) = message {
            row.get(0).map(str::to_owned)
        } else {
            None
        }
    })
}

/// Sends one command in Valkey's inline form, and returns the last line of the response.
fn ask(port: u16, command: &str) -> String {
    let stream = std::net::TcpStream::connect(("127.0.0.1", port)).unwrap();
    std::io::Write::write_all(&mut &stream, format!("{command}\r\nQUIT\r\n").as_bytes()).unwrap();
    let lines: Vec<String> = BufReader::new(stream).lines().map(Result::unwrap).collect();
    lines[lines.len() - 2].clone()
}

#[tokio::test]
async fn a_second_start_keeps_the_data_and_does_not_wait() {
    let checkout = Checkout::new();
    let servers = Servers::start(checkout.settings()).await.unwrap();
    let url = servers.database_owner_url().to_owned();
    query(&url, "create table kept as select 'a row'").await;
    assert_eq!(ask(checkout.cache_port, "SET kept value"), "+OK");
    servers.stop().await;

    let servers = Servers::start(checkout.settings()).await.unwrap();
    assert_eq!(query(&url, "table kept").await.as_deref(), Some("a row"));
    assert_eq!(ask(checkout.cache_port, "GET kept"), "value");
    fs::write(servers.directory().join("dynamodb.sqlite"), "what others keep there").unwrap();
    servers.stop().await;

    // The two-second delay of a restarted primary would lengthen every start, a busy machine only some.
    let mut starts = Vec::new();
    for _ in 0..3 {
        let began = Instant::now();
        let servers = Servers::start(checkout.settings()).await.unwrap();
        starts.push(began.elapsed());
        servers.stop().await;
    }
    assert!(*starts.iter().min().unwrap() < Duration::from_secs(2), "{starts:?}");

    forget(checkout.settings()).await.unwrap();
    assert!(!checkout.directory.join("dev").exists());
}

#[tokio::test]
async fn a_checkout_of_mode_0700_is_no_obstacle() {
    // Matters for root in particular: Postgres then runs as another user.
    let checkout = Checkout::with_programs();
    let servers = Servers::start(checkout.settings()).await.unwrap();
    let url = servers.database_owner_url();
    assert_eq!(query(url, "select 'here'").await.as_deref(), Some("here"));
    servers.stop().await;
}

#[tokio::test]
async fn servers_whose_owner_was_killed_are_ended_by_the_next_start() {
    let checkout = Checkout::new();
    let mut owner = checkout.owner();
    assert_eq!(ask(checkout.cache_port, "SET kept value"), "+OK");
    owner.kill().unwrap();
    owner.wait().unwrap();
    assert_eq!(ask(checkout.cache_port, "PING"), "+PONG", "it outlives its owner");

    let servers = Servers::start(checkout.settings()).await.unwrap();
    assert_eq!(ask(checkout.cache_port, "GET kept"), "value");
    let url = servers.database_owner_url().to_owned();
    assert_eq!(query(&url, "select 'here'").await.as_deref(), Some("here"));
    servers.stop().await;
}

#[tokio::test]
async fn a_second_owner_is_refused_and_so_is_forgetting() {
    let checkout = Checkout::new();
    let servers = Servers::start(checkout.settings_without_postgres()).await.unwrap();
    let second = Servers::start(checkout.settings_without_postgres()).await;
    assert!(matches!(second, Err(StackError::Running { .. })));
    let forgotten = forget(checkout.settings()).await;
    assert!(matches!(forgotten, Err(StackError::Running { .. })));
    assert_eq!(ask(checkout.cache_port, "PING"), "+PONG", "the first is undisturbed");
    servers.stop().await;
}

#[tokio::test]
async fn a_taken_port_is_named_with_the_variable_that_moves_it() {
    let checkout = Checkout::new();
    let _other_process = TcpListener::bind(("127.0.0.1", checkout.cache_port)).unwrap();
    let error = Servers::start(checkout.settings_without_postgres()).await.err().unwrap();
    let message = error.to_string();
    assert!(message.contains(&format!("port {}", checkout.cache_port)), "{message}");
    assert!(message.contains("set LOCAL_CACHE_PORT"), "{message}");
}

#[tokio::test]
async fn nothing_is_started_in_place_of_what_the_settings_name() {
    let checkout = Checkout::new();
    let settings = Settings {
        cache_url: Some("redis://elsewhere".to_owned()),
        ..checkout.settings_without_postgres()
    };
    let servers = Servers::start(settings).await.unwrap();
    assert_eq!(servers.database_url(), "postgres://elsewhere/app");
    assert_eq!(servers.cache_url(), "redis://elsewhere");
    assert!(!checkout.directory.join("dev").exists());
}
