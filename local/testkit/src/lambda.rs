//! Runs a function's built binary as Lambda does.
//!
//! [`Function`] is an environment of an emulated Lambda ([`RuntimeApi`]), which shows a stream chunk by
//! chunk; [`Rie`] is AWS's own emulator, which proves that the binary works with AWS's code.

use std::fs::{self, File};
use std::io::{BufRead, BufReader, PipeReader};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::body::{Body, Bytes};
use fake_aws::FakeAws;
use http::{HeaderValue, Request, header};
use http_body_util::BodyExt;
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;
use local_stack::free_port;
use runtime_api::{LambdaResponse, RuntimeApi};
use tokio::time::sleep;

use crate::{Answer, Deployed, deployed_variables, example_variables, repository};

/// The polling interval, and the number of polls before giving up.
const POLL_INTERVAL: Duration = Duration::from_millis(10);
const GLANCES: usize = 1000;

/// A running function: one execution environment. Dropped, it is killed.
#[derive(Debug)]
pub struct Function(Process);

impl Function {
    /// Starts `binary` once without each of `required`, and fails unless it exits and names the variable.
    pub async fn assert_names_what_is_missing(
        binary: &str,
        variables: &[(&str, String)],
        required: &[&str],
    ) {
        let lambda = RuntimeApi::start().await.expect("a free port");
        for missing in required {
            let mut variables = variables.to_vec();
            variables.retain(|(name, _)| name != missing);
            let complaint = Self::start(binary, &variables, &lambda).complaint().await;
            assert!(complaint.contains(&format!("{missing} is not set")), "{complaint}");
        }
    }

    /// Starts `binary` with the variables that the template gives the function `logical_id` and no others,
    /// and fails unless it asks for its first event: no variable is missing, and each is documented in
    /// `.env.example`. Values that only a deployment knows come from `.env.example`.
    pub async fn assert_starts_as_deployed(binary: &str, logical_id: &str) {
        let (aws, example) = (FakeAws::start().await.expect("a free port"), example_variables());
        let mut variables = aws.variables().to_vec();
        let deployed = deployed_variables(logical_id);
        for (name, deployed) in &deployed {
            let is_awss = name.starts_with("AWS_");
            let known = example.get(name).filter(|value| !value.is_empty());
            let value = match (deployed, known) {
                (Deployed::Text(text), _) => text.clone(),
                (Deployed::Secret, Some(known)) => {
                    aws.put_secret(name, known);
                    format!("secret:{name}")
                }
                (Deployed::Known, Some(known)) => known.clone(),
                // A variable without a value in the example is optional, and setting it changes the
                // behaviour.
                (_, None) => match name.as_str() {
                    "CACHE_NAME" => "chat".to_owned(),
                    "CACHE_USER" => "chat-app".to_owned(),
                    // The SDK has no dual-stack form of a custom endpoint.
                    "AWS_USE_DUALSTACK_ENDPOINT" => "false".to_owned(),
                    _ => String::new(),
                },
            };
            assert!(
                is_awss || example.contains_key(name),
                "{logical_id}: .env.example has no {name}"
            );
            variables.push((name.as_str(), value));
        }
        let lambda = RuntimeApi::start().await.expect("a free port");
        let mut function = Self::start(binary, &variables, &lambda);
        tokio::select! {
            () = lambda.until_idle(1) => {}
            _ = function.exit() => panic!("{logical_id} does not start: {}", function.log()),
        }
    }

    /// Starts `binary` with `lambda` as its runtime API, with `variables` and Lambda's own, and none of
    /// this process.
    pub fn start(binary: &str, variables: &[(&str, String)], lambda: &RuntimeApi) -> Self {
        let mut command = in_lambda(binary, binary, variables);
        command.env("AWS_LAMBDA_RUNTIME_API", lambda.address().to_string());
        Self(Process::start(command))
    }

    /// Starts it without a runtime API.
    pub fn start_alone(binary: &str, variables: &[(&str, String)]) -> Self {
        Self(Process::start(in_lambda(binary, binary, variables)))
    }

    /// Its log so far.
    pub fn log(&self) -> String {
        self.0.log()
    }

    /// Waits until it exits by itself, and reads the rest of its log.
    pub async fn exit(&mut self) -> ExitStatus {
        for _ in 0..GLANCES {
            if let Some(status) = self.0.child.try_wait().unwrap() {
                self.0.read_to_the_end();
                return status;
            }
            sleep(POLL_INTERVAL).await;
        }
        panic!("the function does not end");
    }

    /// Waits until it exits by itself with a failure; returns its log.
    pub async fn complaint(mut self) -> String {
        let status = self.exit().await;
        assert!(!status.success(), "{}", self.log());
        self.log()
    }
}

/// A function under AWS's Runtime Interface Emulator. Dropped, both are killed.
///
/// It returns an answer when it is complete, also a streamed one.
#[derive(Debug)]
pub struct Rie {
    address: SocketAddr,
    process: Process,
}

impl Rie {
    /// Starts the emulator, installing it if it is missing, with `binary`.
    pub async fn start(binary: &str, variables: &[(&str, String)]) -> Self {
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, free_port().unwrap()));
        let runtime_api = SocketAddr::from((Ipv4Addr::LOCALHOST, free_port().unwrap()));
        let mut command = in_lambda(installed().to_str().unwrap(), binary, variables);
        command
            .args(["--runtime-interface-emulator-address", &address.to_string()])
            .args(["--runtime-api-address", &runtime_api.to_string()])
            .arg(binary);
        let process = Process::start(command);
        for _ in 0..GLANCES {
            if TcpStream::connect(address).is_ok() {
                return Self { address, process };
            }
            sleep(POLL_INTERVAL).await;
        }
        panic!("the emulator does not listen: {}", process.log());
    }

    /// Invokes the function. One invocation at a time, enforced by `&mut`: the emulator crashes on two.
    pub async fn post(&mut self, event: impl Into<Bytes>) -> Answer {
        match LambdaResponse::parse(&self.invoke(event).await) {
            Ok(response) => response.into(),
            Err(error) => panic!("{error}: {}", self.log()),
        }
    }

    /// Invokes the function and returns its raw output, for answers that are no HTTP response.
    pub async fn invoke(&mut self, event: impl Into<Bytes>) -> Bytes {
        let url = format!("http://{}/2015-03-31/functions/function/invocations", self.address);
        let request = Request::post(url).body(Body::from(event.into())).unwrap();
        let client = Client::builder(TokioExecutor::new()).build_http();
        let response = client.request(request).await;
        let response = response.unwrap_or_else(|error| panic!("{error:?}: {}", self.log()));
        response.into_body().collect().await.unwrap().to_bytes()
    }

    /// The log of the emulator and the function so far.
    pub fn log(&self) -> String {
        self.process.log()
    }
}

impl From<LambdaResponse> for Answer {
    fn from(LambdaResponse { prelude, body }: LambdaResponse) -> Self {
        let mut headers = prelude.headers;
        for cookie in prelude.cookies {
            let cookie = HeaderValue::try_from(cookie).unwrap();
            headers.append(header::SET_COOKIE, cookie);
        }
        Self {
            status: prelude.status,
            headers,
            body: String::from_utf8(body.to_vec()).expect("text"),
        }
    }
}

/// A child process and its output.
#[derive(Debug)]
struct Process {
    child: Child,
    log: Arc<Mutex<String>>,
    reader: Option<std::thread::JoinHandle<()>>,
}

impl Process {
    fn start(mut command: Command) -> Self {
        let (output, input) = std::io::pipe().unwrap();
        command.stdin(Stdio::null()).stdout(input.try_clone().unwrap()).stderr(input);
        let child = command.spawn().unwrap_or_else(|error| panic!("{command:?}: {error}"));
        let log = Arc::default();
        let reader = std::thread::spawn({
            let log = Arc::clone(&log);
            move || keep(output, &log)
        });
        // The command holds a copy of the pipe's write end; without it, the pipe ends with the child.
        drop(command);
        Self { child, log, reader: Some(reader) }
    }

    fn log(&self) -> String {
        self.log.lock().unwrap().clone()
    }

    fn read_to_the_end(&mut self) {
        if let Some(reader) = self.reader.take() {
            reader.join().unwrap();
        }
    }
}

fn keep(output: PipeReader, log: &Mutex<String>) {
    for line in BufReader::new(output).lines().map_while(Result::ok) {
        let mut log = log.lock().unwrap();
        log.push_str(&line);
        log.push('\n');
    }
}

impl Drop for Process {
    #[expect(
        clippy::print_stderr,
        reason = "the function's log is needed to see why a test failed"
    )]
    fn drop(&mut self) {
        // Fails only when it has ended by itself. A function also ends when its emulator is killed, which
        // closes its connection.
        let _ = self.child.kill();
        let _ = self.child.wait();
        if std::thread::panicking() {
            eprintln!("{}", self.log());
        }
    }
}

/// Prepares `program` with the environment of a function whose bootstrap is `binary`.
///
/// <https://docs.aws.amazon.com/lambda/latest/dg/configuration-envvars.html>
fn in_lambda(program: &str, binary: &str, variables: &[(&str, String)]) -> Command {
    let name = Path::new(binary).file_name().unwrap().to_str().unwrap();
    let mut command = Command::new(program);
    command
        .env_clear()
        .envs([
            ("AWS_ACCESS_KEY_ID", "ASIATESTTESTTESTTEST"),
            ("AWS_DEFAULT_REGION", "ap-south-1"),
            ("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "512"),
            ("AWS_LAMBDA_FUNCTION_NAME", name),
            ("AWS_LAMBDA_FUNCTION_VERSION", "$LATEST"),
            ("AWS_LAMBDA_INITIALIZATION_TYPE", "on-demand"),
            ("AWS_LAMBDA_LOG_FORMAT", "JSON"),
            ("AWS_LAMBDA_LOG_GROUP_NAME", "/aws/lambda/test"),
            ("AWS_LAMBDA_LOG_STREAM_NAME", "2025/11/22/[$LATEST]test"),
            ("AWS_REGION", "ap-south-1"),
            ("AWS_SECRET_ACCESS_KEY", "test"),
            ("AWS_SESSION_TOKEN", "test"),
            ("LAMBDA_TASK_ROOT", "/var/task"),
            ("PATH", "/usr/local/bin:/usr/bin:/bin"),
            ("TZ", ":UTC"),
            ("_HANDLER", "bootstrap"),
            // Ours, from the template: keeps a REST API's stage out of the path.
            ("AWS_LAMBDA_HTTP_IGNORE_STAGE_IN_PATH", "true"),
        ])
        .envs(variables.iter().map(|(name, value)| (name, value)));
    command
}

/// The emulator's path; installs it into `.local/bin` if it is missing.
fn installed() -> PathBuf {
    let given = std::env::var_os("LOCAL_DIR").filter(|directory| !directory.is_empty());
    let local_dir = given.map_or_else(|| repository().join(".local"), PathBuf::from);
    let rie = local_dir.join("bin/aws-lambda-rie");
    if !rie.exists() {
        fs::create_dir_all(&local_dir).unwrap();
        // Another test process may install at the same time.
        let lock = File::create(local_dir.join("install.lock")).unwrap();
        lock.lock().unwrap();
        let installer = repository().join("local/install");
        let status = Command::new(installer).arg("rie").env("LOCAL_DIR", &local_dir).status();
        assert!(status.unwrap().success(), "local/install rie failed");
    }
    rie
}
