//! The database's configuration: address, TLS, pool size and credentials.

use std::path::PathBuf;

use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use shared_aws::Aws;
use shared_core::env::{ConfigError, Env};
use shared_core::is_this_machine;
use tokio_postgres::config::{Host, SslMode};

const DATABASE_URL: &str = "DATABASE_URL";
const MONEY_DATABASE_URL: &str = "MONEY_DATABASE_URL";

/// The database's address and the size of the pool.
#[derive(Debug)]
pub struct DatabaseConfig {
    /// `DATABASE_URL`: `postgres://user:password@host:5432/name`. TLS with a verified certificate is required unless
    /// the host is this machine or the URL has `sslmode=disable`.
    pub url: SecretString,
    /// The variable that `url` is from, which errors name.
    pub url_variable: &'static str,
    /// `DATABASE_CA_FILE`: root certificates (PEM) to trust instead of the public ones, such as the bundle of Amazon
    /// RDS.
    pub ca_file: Option<PathBuf>,
    /// `DATABASE_POOL_SIZE`: the most connections, 2 by default. A Lambda environment serves one request at a time; a
    /// local server of all functions needs more.
    pub pool_size: usize,
    /// `DATABASE_AUTH`: `password` (the default) for the URL's password; `iam` for a token that AWS's credentials sign
    /// for each connection, which requires RDS's role `rds_iam` to be granted to the URL's user.
    pub credentials: Credentials,
}

/// How a connection authenticates.
#[derive(Debug, Clone)]
pub enum Credentials {
    /// With the URL's user and password.
    Url,
    /// With the URL's user and an IAM token.
    Iam(Aws),
    /// As the owner of the schema, whose login is not in the URL.
    Owner {
        /// The user's name.
        user: String,
        /// The user's password.
        password: SecretString,
    },
}

impl DatabaseConfig {
    /// Reads the variables named at each field.
    pub fn from_env(env: &Env<'_>) -> Result<Self, ConfigError> {
        Self::with_url_in(DATABASE_URL, env)
    }

    /// For payments: the address in `MONEY_DATABASE_URL`, whose user is another one, and all else as above.
    pub fn for_payments(env: &Env<'_>) -> Result<Self, ConfigError> {
        Self::with_url_in(MONEY_DATABASE_URL, env)
    }

    fn with_url_in(url_variable: &'static str, env: &Env<'_>) -> Result<Self, ConfigError> {
        let config = Self {
            url: env.secret(url_variable)?,
            url_variable,
            ca_file: env.optional("DATABASE_CA_FILE").map(PathBuf::from),
            pool_size: env.parsed("DATABASE_POOL_SIZE", 2)?,
            credentials: match env.optional("DATABASE_AUTH").as_deref() {
                None | Some("password") => Credentials::Url,
                Some("iam") => Credentials::Iam(Aws::from_env(env)?),
                Some(_) => {
                    return Err(ConfigError::new("DATABASE_AUTH", "has to be password or iam"));
                }
            },
        };
        config.parsed()?;
        Ok(config)
    }

    /// For the owner of the schema: the address as above, and the login in `DATABASE_OWNER`, as the JSON of RDS's own
    /// secret, `{"username": …, "password": …}`.
    pub fn of_owner(env: &Env<'_>) -> Result<Self, ConfigError> {
        #[derive(Deserialize)]
        struct Owner {
            username: String,
            password: String,
        }
        let owner: Owner = serde_json::from_str(env.secret("DATABASE_OWNER")?.expose_secret())
            .map_err(|_| {
                // Serde's message could repeat the secret.
                ConfigError::new("DATABASE_OWNER", r#"has to be {"username": …, "password": …}"#)
            })?;
        let credentials =
            Credentials::Owner { user: owner.username, password: owner.password.into() };
        Ok(Self { credentials, ..Self::from_env(env)? })
    }

    /// The database at `url`, with one connection and the URL's credentials.
    pub fn at(url: &str) -> Self {
        Self {
            url: url.into(),
            url_variable: DATABASE_URL,
            ca_file: None,
            pool_size: 1,
            credentials: Credentials::Url,
        }
    }

    pub(crate) fn parsed(&self) -> Result<tokio_postgres::Config, ConfigError> {
        let url = self.url.expose_secret();
        let mut config: tokio_postgres::Config = url.parse().map_err(|error| {
            ConfigError::new(self.url_variable, format!("cannot be read: {error}"))
        })?;
        // `prefer`, the driver's default, lets an attacker in between downgrade to plain text; here it is the one or
        // the other.
        if config.get_ssl_mode() == SslMode::Prefer {
            let here = config.get_hosts().iter().all(is_local);
            config.ssl_mode(if here { SslMode::Disable } else { SslMode::Require });
        }
        if let Credentials::Owner { user, password } = &self.credentials {
            config.user(user).password(password.expose_secret());
        }
        Ok(config)
    }
}

fn is_local(host: &Host) -> bool {
    match host {
        Host::Unix(_) => true,
        Host::Tcp(name) => is_this_machine(name),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ssl_mode(url: &str) -> SslMode {
        DatabaseConfig::at(url).parsed().unwrap().get_ssl_mode()
    }

    #[test]
    fn a_remote_server_requires_tls_unless_it_is_disabled() {
        assert_eq!(ssl_mode("postgres://u@db.example.com/x"), SslMode::Require);
        assert_eq!(ssl_mode("postgres://u@10.0.0.1/x?sslmode=prefer"), SslMode::Require);
        assert_eq!(ssl_mode("postgres://u@127.0.0.1/x"), SslMode::Disable);
        assert_eq!(ssl_mode("postgres://u@db.example.com/x?sslmode=disable"), SslMode::Disable);
    }

    #[test]
    fn the_error_of_a_malformed_url_names_its_variable_and_does_not_contain_its_password() {
        for (variable, read) in [
            (DATABASE_URL, DatabaseConfig::from_env as fn(&Env<'_>) -> _),
            (MONEY_DATABASE_URL, DatabaseConfig::for_payments),
        ] {
            let env = Env::new(|name| {
                (name == variable).then(|| "postgres://u:hunter2@host:port/x".into())
            });
            let error: ConfigError = read(&env).unwrap_err();
            let error = error.to_string();
            assert!(error.starts_with(&format!("{variable} cannot be read")), "{error}");
            assert!(!error.contains("hunter2"), "{error}");
        }
    }
}
