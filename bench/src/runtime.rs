//! The deployed binary behind Lambda's runtime interface: the delay of its first chunk.
//!
//! The runtime's own client does not set `TCP_NODELAY`, so the kernel holds back the first small chunk
//! after the prelude until the prelude is acknowledged, up to 40 ms (Nagle). The product corrects that.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};

use runtime_api::RuntimeApi;
use serde_json::json;
use tokio::process::{Child, Command};

use crate::Result;
use crate::client::{TurnTimes, chat_body};
use crate::clock::{nanos, now};
use crate::deployed::{self, lambda_variables};
use crate::script::{Script, Stamp};
use crate::statistics::percentile;
use crate::subject::Variables;
use crate::users::{User, Users};

/// The silences between the prelude and the first chunk.
const SILENCES_MS: [u64; 3] = [5, 30, 50];
const FUNCTION: &str = "chat-stream";
/// Turns that are not measured, because they open connections.
const WARM_UP: usize = 3;

/// The delay of an answer's first chunk after one silence.
pub(crate) struct FirstChunk {
    /// From the prelude to the first chunk.
    pub(crate) silence: Duration,
    /// The median time from the upstream's sending to the arrival at the runtime interface, in
    /// milliseconds.
    pub(crate) late: f64,
    /// The maximum of it.
    pub(crate) worst: f64,
}

/// Runs `binary`, that of `chat-stream`, with `turns` turns for each silence.
pub(crate) async fn measure(
    binary: &Path,
    variables: &Variables,
    users: &Users,
    turns: usize,
) -> Result<Vec<FirstChunk>> {
    let api = RuntimeApi::start().await?;
    let _function = start(binary, variables, &api)?;
    let mut measured = Vec::new();
    for silence_ms in SILENCES_MS {
        let mut late = Vec::new();
        for turn in 0..WARM_UP + turns {
            let script = Script {
                silence: Duration::from_millis(silence_ms),
                ..Script::steady(3, Duration::from_millis(5))
            };
            let times = self::turn(&api, &users.next(), &script).await?;
            if turn >= WARM_UP {
                late.extend(times.late);
            }
        }
        measured.push(FirstChunk {
            silence: Duration::from_millis(silence_ms),
            late: percentile(&late, 50) / 1e6,
            worst: percentile(&late, 100) / 1e6,
        });
    }
    Ok(measured)
}

/// Starts the function. Dropped, it ends.
pub(crate) fn start(binary: &Path, variables: &Variables, api: &RuntimeApi) -> Result<Child> {
    let function = Command::new(binary)
        .env_clear()
        .envs(variables.iter().map(|(name, value)| (name, value)))
        .envs(lambda_variables(FUNCTION, api.address()))
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .kill_on_drop(true)
        .spawn()?;
    Ok(function)
}

/// One turn through the runtime interface; of the chunks, only the first is timed.
pub(crate) async fn turn(api: &RuntimeApi, user: &User<'_>, script: &Script) -> Result<TurnTimes> {
    let asked = now();
    let mut invocation = api.invoke(event(user, script));
    let mut times = TurnTimes::default();
    let mut answer = Vec::new();
    while let Some(chunk) = invocation.chunk().await? {
        answer.extend_from_slice(&chunk.bytes);
        if let (true, Some((stamp, _))) = (times.late.is_empty(), Stamp::find(&answer)) {
            let arrived = moment(chunk.arrived);
            times.first = (arrived - asked).saturating_sub(stamp.sent - stamp.received);
            times.late.push(arrived.saturating_sub(stamp.sent));
        }
    }
    if times.late.is_empty() {
        return Err(String::from_utf8_lossy(&answer).into());
    }
    times.whole = now() - asked;
    Ok(times)
}

/// A time on the clock of the upstream's stamps.
fn moment(arrived: Instant) -> u64 {
    now().saturating_sub(nanos(arrived.elapsed()))
}

/// The event of API Gateway for `POST /api/chat`.
fn event(user: &User<'_>, script: &Script) -> String {
    let cookie = format!("__Host-session={}", user.token);
    json!({
        "resource": "/api/chat",
        "path": "/api/chat",
        "httpMethod": "POST",
        "headers": { "content-type": "application/json", "cookie": cookie },
        "multiValueHeaders": { "content-type": ["application/json"], "cookie": [cookie] },
        "queryStringParameters": null,
        "multiValueQueryStringParameters": null,
        "pathParameters": null,
        "stageVariables": null,
        "requestContext": {
            "accountId": "123456789012",
            "apiId": "bench",
            "httpMethod": "POST",
            "identity": { "sourceIp": "127.0.0.1" },
            "path": "/api/chat",
            "protocol": "HTTP/1.1",
            "requestId": "bench",
            "resourceId": "bench",
            "resourcePath": "/api/chat",
            "stage": "prod",
        },
        "body": chat_body(user, script),
        "isBase64Encoded": false,
    })
    .to_string()
}

/// Builds the function.
pub(crate) async fn build() -> Result<PathBuf> {
    let mut binaries = deployed::build(&["--package", FUNCTION]).await?;
    let binary = binaries.pop().ok_or_else(|| format!("{FUNCTION} has no binary"))?;
    Ok(binary.path)
}
