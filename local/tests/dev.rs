//! Tests of `make dev` with the built binary, from the first start to a conversation.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test stops where it breaks")]

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

use local_stack::{Servers, Settings, TestServers, free_port};
use serde_json::{Value, json};
use testkit::{Stopwatch, repository};
use tokio_postgres::{NoTls, Row};

/// A `.local` directory of its own, with the programs that are installed already.
struct Checkout {
    local_dir: PathBuf,
    ports: [u16; 5],
}

impl Checkout {
    async fn new(name: &str) -> Self {
        // Installs the programs if they are missing.
        TestServers::shared().await;
        let installed = Path::new(env!("CARGO_MANIFEST_DIR")).join("../.local");
        let local_dir = std::env::temp_dir().join(format!("dev-{name}-{}", std::process::id()));
        fs::create_dir_all(&local_dir).unwrap();
        for programs in ["bin", "tools"] {
            symlink(installed.canonicalize().unwrap().join(programs), local_dir.join(programs))
                .unwrap();
        }
        Self { local_dir, ports: [(); 5].map(|()| free_port().unwrap()) }
    }

    fn command(&self) -> Command {
        let [port, postgres, cache, openrouter, cashfree] = self.ports.map(|port| port.to_string());
        let mut command = Command::new(env!("CARGO_BIN_EXE_local"));
        command.env("LOCAL_DIR", &self.local_dir).env("PORT", port);
        command.env("LOCAL_POSTGRES_PORT", postgres).env("LOCAL_CACHE_PORT", cache);
        command.env("LOCAL_OPENROUTER_PORT", openrouter).env("LOCAL_CASHFREE_PORT", cashfree);
        for given in [
            "DATABASE_URL",
            "CACHE_URL",
            "OPENROUTER_API_KEY",
            "OPENROUTER_BASE_URL",
            "MONEY_DATABASE_URL",
            "CASHFREE_CLIENT_ID",
            "CASHFREE_BASE_URL",
            "VAULT_KEYS",
            "INBOX_TABLE",
        ] {
            command.env_remove(given);
        }
        command.stdout(Stdio::piped());
        command
    }

    /// Starts it and waits until it prints its URL.
    fn start(&self) -> Running {
        let watch = Stopwatch::start();
        let mut child = self.command().spawn().unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let mut said = String::new();
        while !said.contains("(ready after") {
            let line = lines.next().unwrap_or_else(|| panic!("it ended: {said}")).unwrap();
            said += &line;
        }
        // Drains the rest of its output, which would otherwise fill the pipe.
        std::thread::spawn(move || lines.for_each(drop));
        Running { child, took: watch.elapsed_on_time(), port: self.ports[0] }
    }

    /// `make sweep`, in another terminal.
    fn sweep(&self) -> (bool, String) {
        let mut make = Command::new("make");
        // The options of a make that runs the tests are not for this one.
        make.env_remove("MAKEFLAGS")
            .args(["--silent", "sweep"])
            .env("PORT", self.ports[0].to_string());
        let output = make.current_dir(repository()).output().unwrap();
        (output.status.success(), String::from_utf8(output.stdout).unwrap())
    }

    /// A response of the fake payment provider.
    fn page_of_the_provider(&self, path: &str) -> String {
        let [.., port] = self.ports;
        let mut stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
        write!(stream, "GET {path} HTTP/1.0\r\nhost: localhost\r\n\r\n").unwrap();
        let mut page = String::new();
        stream.read_to_string(&mut page).unwrap();
        page
    }

    /// Queries its Postgres while the product is stopped.
    async fn query(&self, sql: &str) -> Vec<Row> {
        let [_, postgres_port, cache_port, ..] = self.ports;
        let settings = Settings {
            local_dir: self.local_dir.clone(),
            postgres_port,
            cache_port,
            database_url: None,
            database_owner_url: None,
            cache_url: None,
        };
        let servers = Servers::start(settings).await.unwrap();
        let url = servers.database_owner_url();
        let (client, connection) = tokio_postgres::connect(url, NoTls).await.unwrap();
        let (rows, _) = tokio::join!(
            async move { client.query(sql, &[]).await.unwrap() },
            connection, // until the client is dropped
        );
        servers.stop().await;
        rows
    }

    /// The status and text of each answer.
    async fn answers(&self) -> Vec<(String, String)> {
        let query = "select status, parts::text from messages
                      where role = 'assistant' order by chat_id";
        self.query(query).await.iter().map(|row| (row.get(0), row.get(1))).collect()
    }

    fn vault_keys(&self) -> PathBuf {
        self.local_dir.join("dev-vault-keys")
    }

    fn any_port_is_open(&self) -> bool {
        self.ports.iter().any(|port| TcpStream::connect(("127.0.0.1", *port)).is_ok())
    }
}

impl Drop for Checkout {
    fn drop(&mut self) {
        drop(fs::remove_dir_all(&self.local_dir));
    }
}

struct Running {
    child: Child,
    took: Duration,
    port: u16,
}

impl Running {
    fn signal(&self, signal: &str) {
        let pid = self.child.id().to_string();
        assert!(Command::new("kill").args([signal, &pid]).status().unwrap().success());
    }

    fn end(&mut self, signal: &str) -> ExitStatus {
        self.signal(signal);
        self.child.wait().unwrap()
    }

    /// Sends one request on a connection of its own; returns status, headers and body.
    fn call(&self, method: &str, path: &str, headers: &str, body: &str) -> (u16, String, String) {
        let mut response = String::new();
        self.send(method, path, headers, body).read_to_string(&mut response).unwrap();
        let (head, body) = response.split_once("\r\n\r\n").unwrap();
        (head.split(' ').nth(1).unwrap().parse().unwrap(), head.to_owned(), body.to_owned())
    }

    /// Sends a request and returns the connection, to read the response from.
    fn send(&self, method: &str, path: &str, headers: &str, body: &str) -> TcpStream {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port)).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        let length = body.len();
        // HTTP/1.0: the body ends where the connection does.
        write!(
            stream,
            "{method} {path} HTTP/1.0\r\nhost: localhost\r\ncontent-type: application/json\r\n\
             content-length: {length}\r\n{headers}\r\n{body}"
        )
        .unwrap();
        stream
    }

    /// Asks, and returns once the answer has begun.
    fn ask(&self, cookie: &str, chat: &str, model: &str) -> BufReader<TcpStream> {
        let question = json!({
            "id": chat, "model": model,
            "message": { "role": "user", "parts": [{ "type": "text", "text": "hello" }] },
        });
        let stream = self.send("POST", "/api/chat", cookie, &question.to_string());
        let mut stream = BufReader::new(stream);
        let mut line = String::new();
        while !line.contains("\"text-delta\"") {
            line.clear();
            assert_ne!(stream.read_line(&mut line).unwrap(), 0, "it ended before it began");
        }
        stream
    }

    /// Logs `address` in: requests a code, reads it in the mailbox, enters it.
    fn log_in(&self, address: &str) -> String {
        let email = json!({ "email": address }).to_string();
        assert_eq!(self.call("POST", "/api/auth/otp", "", &email).0, 202);
        let inbox = self.call("GET", "/local/inbox", "accept: application/json\r\n", "").2;
        let inbox: Value = serde_json::from_str(&inbox).unwrap();
        assert_eq!(inbox[0]["to"], address);
        assert!(inbox[0]["at"].is_string() && inbox[0]["subject"].is_string());
        let body = json!({ "email": address, "code": inbox[0]["code"] }).to_string();
        let (status, head, _) = self.call("POST", "/api/auth/verify", "", &body);
        assert_eq!(status, 200);
        let cookie = head.lines().find_map(|line| line.strip_prefix("set-cookie: ")).unwrap();
        format!("cookie: {}\r\n", cookie.split(';').next().unwrap())
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // SIGTERM first, so that it ends its servers.
        if self.child.try_wait().unwrap().is_none() {
            self.end("-TERM");
        }
    }
}

#[tokio::test]
async fn a_new_user_logs_in_asks_and_watches_the_answer_and_ctrl_c_ends_everything() {
    let checkout = Checkout::new("new-user").await;
    let mut dev = checkout.start();
    let cookie = dev.log_in("ada@example.com");
    let page = dev.call("GET", "/local/inbox", "accept: text/html\r\n", "").2;
    assert!(page.contains("ada@example.com") && page.starts_with("<!doctype html>"));
    let question = json!({
        "id": "first-chat", "model": "fake/echo",
        "message": { "role": "user", "parts": [{ "type": "text", "text": "hello world" }] },
    });
    let (status, head, body) = dev.call("POST", "/api/chat", &cookie, &question.to_string());
    assert_eq!(status, 200);
    assert!(head.contains("content-type: text/event-stream"), "{head}");
    assert!(body.contains(r#""delta":"hello ""#) && body.trim_end().ends_with("[DONE]"), "{body}");
    for path in ["/", "/api/models", "/api/openapi.json"] {
        assert_eq!(dev.call("GET", path, "", "").0, 200, "{path}");
    }
    assert_eq!(dev.call("GET", "/api/nothing", "", "").0, 404);
    let (swept, report) = checkout.sweep();
    assert!(swept && report.contains(r#""orphanedTurnsClosed":0"#), "{report}");
    assert!(dev.end("-INT").success());
    assert!(!checkout.any_port_is_open());
    let (swept, complaint) = checkout.sweep();
    assert!(!swept && complaint.contains("run `make dev` first"), "{complaint}");
}

#[tokio::test]
async fn after_kill_9_the_next_start_is_quick_and_keeps_the_data() {
    let checkout = Checkout::new("kill-9").await;
    let mut dev = checkout.start();
    let cookie = dev.log_in("ada@example.com");
    let vault_keys = fs::read_to_string(checkout.vault_keys()).unwrap();
    assert!(vault_keys.starts_with("local-1:"));
    assert_eq!(checkout.vault_keys().metadata().unwrap().permissions().mode() & 0o777, 0o600);
    let premium = json!({ "plan": "premium", "phone": "9908734801" }).to_string();
    let (status, _, order) = dev.call("POST", "/api/orders", &cookie, &premium);
    assert_eq!(status, 201, "{order}");
    dev.end("-KILL");
    let mut dev = checkout.start();
    assert!(dev.took < Duration::from_secs(3), "{:?}", dev.took);
    assert_eq!(dev.call("GET", "/api/me", &cookie, "").0, 200);
    assert_eq!(fs::read_to_string(checkout.vault_keys()).unwrap(), vault_keys);
    let (status, _, again) = dev.call("POST", "/api/orders", &cookie, &premium);
    assert_eq!(status, 200, "{again}");
    let [order, again] = [order, again].map(|json| serde_json::from_str::<Value>(&json).unwrap());
    assert_eq!(order["checkout"], again["checkout"]);
    let session = order["checkout"]["paymentSessionId"].as_str().unwrap();
    let page = checkout.page_of_the_provider(&format!("/local/checkout/{session}"));
    assert!(page.contains("INR 450.00"), "{page}");
    // The inbox's file lies in the same directory.
    assert!(checkout.local_dir.join("dev/dynamodb.sqlite").exists());
    assert!(dev.end("-TERM").success());
    assert!(!checkout.any_port_is_open());
}

#[tokio::test]
async fn at_sigterm_turns_in_flight_get_a_grace_period_and_are_then_closed_as_interrupted() {
    let checkout = Checkout::new("sigterm").await;
    let mut dev = checkout.start();
    let cookie = dev.log_in("ada@example.com");
    // Two seconds, and practically endless.
    let mut short = dev.ask(&cookie, "a-short-answer", "fake/bench-100-20");
    let mut long = dev.ask(&cookie, "the-long-answer", "fake/bench-9000-20");
    let idle = TcpStream::connect(("127.0.0.1", dev.port)).unwrap();
    let signalled = Stopwatch::start();
    dev.signal("-TERM");

    let mut rest = String::new();
    short.read_to_string(&mut rest).unwrap();
    assert!(rest.contains(r#""type":"finish""#) && rest.ends_with("data: [DONE]\n\n"), "{rest}");
    let taken = signalled.elapsed_on_time();
    assert!(taken < Duration::from_secs(8), "{taken:?}");
    // No new connection is accepted, and no request on an idle one.
    assert!(TcpStream::connect(("127.0.0.1", dev.port)).is_err());
    assert!(is_closed(idle));
    assert!(dev.child.try_wait().unwrap().is_none(), "the long one has its time");

    rest.clear();
    long.read_to_string(&mut rest).unwrap();
    assert!(rest.contains("answer_interrupted") && rest.ends_with("data: [DONE]\n\n"), "{rest}");
    assert!(dev.child.wait().unwrap().success());
    assert!(signalled.elapsed() >= Duration::from_secs(10), "{signalled:?}");
    let taken = signalled.elapsed_on_time();
    assert!(taken < Duration::from_secs(15), "{taken:?}");
    assert!(!checkout.any_port_is_open());

    let answers = checkout.answers().await;
    let statuses: Vec<_> = answers.iter().map(|(status, _)| status.as_str()).collect();
    assert_eq!(statuses, ["complete", "interrupted"]);
    // About 500 of its 9000 words.
    let (_, said) = &answers[1];
    assert!(said.len() > 300 * "word ".len(), "{said}");
}

fn is_closed(mut stream: TcpStream) -> bool {
    let _ = stream.write_all(b"GET /api/health HTTP/1.1\r\nhost: localhost\r\n\r\n");
    // End of stream, or a reset.
    !matches!(stream.read(&mut [0]), Ok(1))
}

#[tokio::test]
async fn data_of_another_version_is_told_with_the_command_that_deletes_it() {
    let checkout = Checkout::new("other-version").await;
    checkout.start().end("-TERM");
    checkout.query("update refinery_schema_history set checksum = '1' where version = 1").await;
    let output = checkout.command().output().unwrap();
    let said = String::from_utf8(output.stdout).unwrap();
    assert!(!output.status.success());
    assert!(said.contains("V1__identity") && said.contains("`make dev-reset`"), "{said}");
    assert!(!checkout.any_port_is_open());
}

#[tokio::test]
async fn a_taken_port_is_named_with_what_to_do_and_nothing_is_started() {
    let checkout = Checkout::new("taken-port").await;
    let taken = TcpListener::bind(("127.0.0.1", checkout.ports[0])).unwrap();
    let output = checkout.command().output().unwrap();
    let said = String::from_utf8(output.stdout).unwrap();
    assert!(!output.status.success());
    let port = format!("port {}", checkout.ports[0]);
    assert!(said.contains(&port) && said.contains("set PORT"), "{said}");
    drop(taken);
    assert!(!checkout.any_port_is_open());
}
