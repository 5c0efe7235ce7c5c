//! Configuration: Cashfree's environment, its URL, and the account's credentials.

use std::fmt;
use std::str::FromStr;

use reqwest::Url;
use secrecy::SecretString;
use serde::Serialize;
use shared_core::env::{ConfigError, Env};
use shared_core::is_this_machine;

const BASE_URL: &str = "CASHFREE_BASE_URL";

/// An environment of Cashfree. Each has accounts, orders and checkout pages of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Mode {
    /// For tests: no money moves.
    Sandbox,
    /// Real payments.
    Production,
}

impl Mode {
    /// The name that Cashfree's browser SDK takes as `mode`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Sandbox => "sandbox",
            Self::Production => "production",
        }
    }

    const fn base_url(self) -> &'static str {
        match self {
            Self::Sandbox => "https://sandbox.cashfree.com/pg",
            Self::Production => "https://api.cashfree.com/pg",
        }
    }
}

impl fmt::Display for Mode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The text is not a [`Mode`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("it is neither sandbox nor production")]
pub struct UnknownMode;

impl FromStr for Mode {
    type Err = UnknownMode;

    fn from_str(text: &str) -> Result<Self, UnknownMode> {
        [Self::Sandbox, Self::Production]
            .into_iter()
            .find(|mode| mode.as_str() == text)
            .ok_or(UnknownMode)
    }
}

/// Configuration of [`Cashfree`](crate::Cashfree).
#[derive(Debug, Clone)]
pub struct CashfreeConfig {
    /// `CASHFREE_MODE`: `sandbox` (the default) or `production`.
    pub mode: Mode,
    /// `CASHFREE_CLIENT_ID`: the account. Without it, nothing is sold.
    pub client_id: String,
    /// `CASHFREE_CLIENT_SECRET`: the account's secret for the API.
    pub client_secret: SecretString,
    /// `CASHFREE_BASE_URL`: the mode's by default. Has to be `https`, except on this machine.
    pub base_url: String,
}

impl CashfreeConfig {
    /// Reads the environment variables named at each field; `None` if billing is off.
    pub fn from_env(env: &Env<'_>) -> Result<Option<Self>, ConfigError> {
        let mode = env.parsed("CASHFREE_MODE", Mode::Sandbox)?;
        let base_url = env.optional(BASE_URL).unwrap_or_else(|| mode.base_url().to_owned());
        let Some(client_id) = env.optional("CASHFREE_CLIENT_ID") else { return Ok(None) };
        let client_secret = env.secret("CASHFREE_CLIENT_SECRET")?;
        let base_url = base_url.trim_end_matches('/').to_owned();
        Ok(Some(Self { mode, client_id, client_secret, base_url }))
    }

    /// Refuses a URL that would send the secret in plain text over a network.
    pub(crate) fn check_base_url(&self) -> Result<(), ConfigError> {
        let url = Url::parse(&self.base_url);
        let url =
            url.map_err(|error| ConfigError::new(BASE_URL, format!("cannot be read: {error}")))?;
        match url.scheme() {
            "https" => Ok(()),
            "http" if url.host_str().map(unbracketed).is_some_and(is_this_machine) => Ok(()),
            _ => Err(ConfigError::new(BASE_URL, "has to begin with https://")),
        }
    }
}

/// Without the brackets in which a URL has an IPv6 address.
fn unbracketed(host: &str) -> &str {
    host.trim_start_matches('[').trim_end_matches(']')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(variables: &[(&str, &str)]) -> Result<Option<CashfreeConfig>, ConfigError> {
        CashfreeConfig::from_env(&Env::new(|name| {
            let found = variables.iter().find(|(variable, _)| *variable == name);
            found.map(|(_, value)| (*value).to_owned())
        }))
    }

    const ID: (&str, &str) = ("CASHFREE_CLIENT_ID", "id");
    const SECRET: (&str, &str) = ("CASHFREE_CLIENT_SECRET", "hunter2");

    #[test]
    fn billing_is_off_without_a_client_id() {
        assert!(config(&[]).unwrap().is_none());
        assert!(config(&[SECRET]).unwrap().is_none());
        let error = config(&[ID]).unwrap_err();
        assert_eq!(error, ConfigError::new("CASHFREE_CLIENT_SECRET", "is not set"));
    }

    #[test]
    fn the_mode_chooses_the_url_and_is_the_sandbox_by_default() {
        for (variables, mode, url) in [
            (vec![ID, SECRET], Mode::Sandbox, "https://sandbox.cashfree.com/pg"),
            (
                vec![ID, SECRET, ("CASHFREE_MODE", "production")],
                Mode::Production,
                "https://api.cashfree.com/pg",
            ),
            (
                vec![ID, SECRET, (BASE_URL, "http://127.0.0.1:1/pg/")],
                Mode::Sandbox,
                "http://127.0.0.1:1/pg",
            ),
        ] {
            let config = config(&variables).unwrap().unwrap();
            assert_eq!((config.mode, &*config.base_url), (mode, url));
            assert!(!format!("{config:?}").contains("hunter2"));
        }
        for other in ["live", "Production", "prod "] {
            let error = config(&[ID, SECRET, ("CASHFREE_MODE", other)]).unwrap_err().to_string();
            assert!(error.starts_with("CASHFREE_MODE cannot be read"), "{error}");
        }
    }

    #[test]
    fn a_mode_has_one_name_everywhere() {
        for mode in [Mode::Sandbox, Mode::Production] {
            let json = serde_json::to_string(&mode).unwrap();
            assert_eq!(json, format!("\"{mode}\""));
            assert_eq!(mode.as_str().parse(), Ok(mode));
        }
    }

    #[test]
    fn plain_http_is_for_this_machine_only() {
        let check =
            |url| config(&[ID, SECRET, (BASE_URL, url)]).unwrap().unwrap().check_base_url().is_ok();
        for url in [
            "https://api.cashfree.com/pg",
            "http://localhost:3000",
            "http://127.0.0.1",
            "http://[::1]:8",
        ] {
            assert!(check(url), "{url}");
        }
        for url in [
            "http://api.cashfree.com/pg",
            "http://localhost.example.com",
            "http://127.0.0.1.example.com",
            "http://10.0.0.1",
            "ftp://localhost",
            "localhost:3000",
            "/pg",
        ] {
            assert!(!check(url), "{url}");
        }
    }
}
