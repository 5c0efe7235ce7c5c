//! Settings of the servers of `make dev`.

use std::fs;
use std::path::{Path, PathBuf};

use shared_core::env::{ConfigError, Env};

use crate::StackError;
use crate::error::At as _;

/// Ports and data directory of the servers of `make dev`, or the URLs of others to use instead.
pub struct Settings {
    /// `LOCAL_DIR`: the directory of programs and data, `.local` at the root of the repository by default.
    pub local_dir: PathBuf,
    /// `LOCAL_POSTGRES_PORT`: 25432 by default.
    pub postgres_port: u16,
    /// `LOCAL_CACHE_PORT`: 26379 by default. Valkey also listens on this port minus 10000.
    pub cache_port: u16,
    /// `DATABASE_URL`: an existing Postgres; if set, none is started.
    pub database_url: Option<String>,
    /// `DATABASE_OWNER_URL`: that Postgres for the owner of the schema, `DATABASE_URL` by default.
    /// Migrations need more rights than the app has.
    pub database_owner_url: Option<String>,
    /// `CACHE_URL`: an existing Valkey; if set, none is started.
    pub cache_url: Option<String>,
}

impl Settings {
    /// Reads the variables named at each field.
    pub fn from_env(env: &Env<'_>) -> Result<Self, ConfigError> {
        Ok(Self {
            local_dir: env.optional("LOCAL_DIR").map_or_else(default_local_dir, PathBuf::from),
            postgres_port: port(env, "LOCAL_POSTGRES_PORT", 25432)?,
            cache_port: port(env, "LOCAL_CACHE_PORT", 26379)?,
            database_url: env.optional("DATABASE_URL"),
            database_owner_url: env.optional("DATABASE_OWNER_URL"),
            cache_url: env.optional("CACHE_URL"),
        })
    }
}

/// The root of the checkout that this crate was compiled in.
pub(crate) fn repository() -> PathBuf {
    let this_crate = Path::new(env!("CARGO_MANIFEST_DIR"));
    this_crate.join("../..")
}

/// [`Settings::local_dir`] of this process, for tests, which have no settings.
pub(crate) fn local_dir_of_this_process() -> Result<PathBuf, StackError> {
    let given = std::env::var_os("LOCAL_DIR").filter(|directory| !directory.is_empty());
    made(&given.map_or_else(default_local_dir, PathBuf::from))
}

/// Creates the directory if it is missing and returns its canonical path: a server is recognised by the
/// path of its data directory, so every process must use the same.
pub(crate) fn made(directory: &Path) -> Result<PathBuf, StackError> {
    fs::create_dir_all(directory).at("make", directory)?;
    directory.canonicalize().at("resolve", directory)
}

fn default_local_dir() -> PathBuf {
    repository().join(".local")
}

fn port(env: &Env<'_>, variable: &str, default: u16) -> Result<u16, ConfigError> {
    let port = env.parsed(variable, default)?;
    // Lower ports need root; higher ones are ephemeral ports of outgoing connections, on which a start
    // would sometimes fail.
    if (1024..32768).contains(&port) {
        Ok(port)
    } else {
        Err(ConfigError::new(
            variable,
            "must be from 1024 to 32767: the ports above are given to outgoing connections",
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_ephemeral_port_of_outgoing_connections_is_refused() {
        let env = Env::new(|name| (name == "LOCAL_CACHE_PORT").then(|| "40000".to_owned()));
        let error = Settings::from_env(&env).err().unwrap().to_string();
        assert!(error.starts_with("LOCAL_CACHE_PORT must be"), "{error}");
    }
}
