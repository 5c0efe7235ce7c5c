//! Binaries as deployed: how they are built, and the variables that Lambda sets.

use std::env;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use serde_json::Value;
use tokio::process::Command;

use crate::Result;

/// A built program.
pub(crate) struct Binary {
    /// Its name, which is that of its function.
    pub(crate) name: String,
    /// Where it lies.
    pub(crate) path: PathBuf,
}

/// Builds the packages that cargo's options select, and returns their programs; without options, all that
/// is deployed. In a cargo process of its own: built together with the tools, the functions would get the
/// tools' features.
pub(crate) async fn build(options: &[&str]) -> Result<Vec<Binary>> {
    let cargo = env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(cargo);
    // Removes the variables of the cargo that started this program. The build script of ring reads them, so
    // that all that depends on ring would be rebuilt, here and again elsewhere.
    for (variable, _) in env::vars_os() {
        if variable
            .to_str()
            .is_some_and(|it| it.starts_with("CARGO_PKG_") || it.starts_with("CARGO_MANIFEST_"))
        {
            command.env_remove(variable);
        }
    }
    let output = command
        .args(["build", "--release", "--message-format", "json-render-diagnostics"])
        .args(options)
        .current_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join(".."))
        .stdin(Stdio::null())
        .stderr(Stdio::inherit())
        .output()
        .await?;
    if !output.status.success() {
        return Err(format!("cargo build --release {} failed", options.join(" ")).into());
    }
    let messages = String::from_utf8(output.stdout)?;
    let mut binaries = Vec::new();
    for message in messages.lines() {
        let message: Value = serde_json::from_str(message)?;
        if let (Some(name), Some(path)) =
            (message["target"]["name"].as_str(), message["executable"].as_str())
        {
            binaries.push(Binary { name: name.to_owned(), path: path.into() });
        }
    }
    binaries.sort_by(|one, other| one.name.cmp(&other.name));
    Ok(binaries)
}

/// Lambda's own variables for an environment of `function`.
pub(crate) fn lambda_variables(
    function: &str,
    runtime_api: SocketAddr,
) -> Vec<(&'static str, String)> {
    vec![
        ("AWS_LAMBDA_RUNTIME_API", runtime_api.to_string()),
        ("AWS_LAMBDA_FUNCTION_NAME", function.to_owned()),
        ("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "512".to_owned()),
        ("AWS_LAMBDA_FUNCTION_VERSION", "$LATEST".to_owned()),
        ("AWS_LAMBDA_LOG_STREAM_NAME", "bench".to_owned()),
        ("AWS_LAMBDA_LOG_GROUP_NAME", "bench".to_owned()),
        // Otherwise a REST API's stage would become a part of the path.
        ("AWS_LAMBDA_HTTP_IGNORE_STAGE_IN_PATH", "true".to_owned()),
    ]
}
