//! Where the database is and how it is reached.

use std::path::PathBuf;

use secrecy::{ExposeSecret, SecretString};
use shared_core::env::{ConfigError, Env};
use tokio_postgres::config::{Host, SslMode};

/// The database's address and the size of the pool.
#[derive(Debug)]
pub struct DatabaseConfig {
    /// `DATABASE_URL`: `postgres://user:password@host:5432/name`. TLS with a verified certificate is
    /// required unless the host is this machine or the URL says `sslmode=disable`.
    pub url: SecretString,
    /// `DATABASE_CA_FILE`: certificates (PEM) to trust instead of the public ones, such as the
    /// bundle of Amazon RDS.
    pub ca_file: Option<PathBuf>,
    /// `DATABASE_POOL_SIZE`: connections at most, 2 by default. A Lambda environment serves one
    /// request at a time; a local server of all functions wants more.
    pub pool_size: usize,
}

impl DatabaseConfig {
    /// Reads the variables named at each field.
    pub fn from_env(env: &Env<'_>) -> Result<Self, ConfigError> {
        let config = Self {
            url: env.secret("DATABASE_URL")?,
            ca_file: env.optional("DATABASE_CA_FILE").map(PathBuf::from),
            pool_size: env.parsed("DATABASE_POOL_SIZE", 2)?,
        };
        config.parsed()?;
        Ok(config)
    }

    pub(crate) fn parsed(&self) -> Result<tokio_postgres::Config, ConfigError> {
        let url = self.url.expose_secret();
        let mut config: tokio_postgres::Config = url.parse().map_err(|error| {
            ConfigError::new("DATABASE_URL", format!("cannot be read: {error}"))
        })?;
        // `prefer`, the driver's default, falls back to plain text whenever somebody on the way
        // says so; here it is the one or the other.
        if config.get_ssl_mode() == SslMode::Prefer {
            let here = config.get_hosts().iter().all(is_this_machine);
            config.ssl_mode(if here { SslMode::Disable } else { SslMode::Require });
        }
        Ok(config)
    }
}

fn is_this_machine(host: &Host) -> bool {
    match host {
        Host::Unix(_) => true,
        Host::Tcp(name) => {
            name == "localhost" || name.parse().is_ok_and(|ip: std::net::IpAddr| ip.is_loopback())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ssl_mode(url: &str) -> SslMode {
        let config = DatabaseConfig { url: url.to_owned().into(), ca_file: None, pool_size: 1 };
        config.parsed().unwrap().get_ssl_mode()
    }

    #[test]
    fn a_server_elsewhere_is_reached_by_tls_or_not_at_all() {
        assert_eq!(ssl_mode("postgres://u@db.example.com/x"), SslMode::Require);
        assert_eq!(ssl_mode("postgres://u@10.0.0.1/x?sslmode=prefer"), SslMode::Require);
        assert_eq!(ssl_mode("postgres://u@127.0.0.1/x"), SslMode::Disable);
        assert_eq!(ssl_mode("postgres://u@db.example.com/x?sslmode=disable"), SslMode::Disable);
    }

    #[test]
    fn a_url_that_cannot_be_read_is_not_repeated() {
        let env = Env::new(|name| {
            (name == "DATABASE_URL").then(|| "postgres://u:hunter2@host:port/x".into())
        });
        let error = DatabaseConfig::from_env(&env).unwrap_err().to_string();
        assert!(
            error.starts_with("DATABASE_URL cannot be read") && !error.contains("hunter2"),
            "{error}"
        );
    }
}
