//! Opens connections: TLS, and an IAM token as the password.

use std::pin::Pin;

use deadpool_postgres::{ConfigConnectImpl, Connect};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use secrecy::ExposeSecret;
use shared_aws::Aws;
use shared_core::clock::Clock;
use shared_core::env::ConfigError;
use shared_core::error_chain;
use tokio::task::JoinHandle;
use tokio_postgres::config::{Host, SslMode};
use tokio_postgres::{Client, Config, Error, NoTls};
use tokio_postgres_rustls::MakeRustlsConnect;

use super::config::Credentials;
use super::rds;
use crate::DatabaseConfig;

type Connecting<'a> =
    Pin<Box<dyn Future<Output = Result<(Client, JoinHandle<()>), Error>> + Send + 'a>>;

/// Opens connections with the configured TLS and credentials.
pub(crate) struct Connector {
    transport: Tls,
    identity: Option<(Aws, Clock)>,
}

enum Tls {
    Disabled(ConfigConnectImpl<NoTls>),
    Verified(ConfigConnectImpl<MakeRustlsConnect>),
}

impl Connector {
    /// `clock` dates IAM tokens; a login with a password needs none.
    pub(crate) fn new(
        config: &DatabaseConfig,
        postgres: &Config,
        clock: Option<Clock>,
    ) -> Result<Self, ConfigError> {
        let transport = if postgres.get_ssl_mode() == SslMode::Disable {
            Tls::Disabled(ConfigConnectImpl { tls: NoTls })
        } else {
            let tls = tls(config, host(postgres))?;
            Tls::Verified(ConfigConnectImpl { tls: MakeRustlsConnect::new(tls) })
        };
        let identity = match &config.credentials {
            Credentials::Iam(aws) => clock.map(|clock| (aws.clone(), clock)),
            Credentials::Url | Credentials::Owner { .. } => None,
        };
        Ok(Self { transport, identity })
    }
}

impl Connect for Connector {
    fn connect(&self, postgres: &Config) -> Connecting<'_> {
        let mut postgres = postgres.clone();
        if let Some((aws, clock)) = &self.identity {
            let (host, user) = (host(&postgres), postgres.get_user().unwrap_or_default());
            let port = postgres.get_ports().first().copied().unwrap_or(5432);
            match aws.database_token(host, port, user, clock.now()) {
                Ok(token) => drop(postgres.password(token.expose_secret())),
                // Connect all the same: the server refuses the login with an error of its own.
                Err(error) => tracing::error!(error = error_chain(&error), "no token for postgres"),
            }
        }
        match &self.transport {
            Tls::Disabled(transport) => transport.connect(&postgres),
            Tls::Verified(transport) => transport.connect(&postgres),
        }
    }
}

fn host(postgres: &Config) -> &str {
    match postgres.get_hosts().first() {
        Some(Host::Tcp(name)) => name,
        Some(Host::Unix(_)) | None => "",
    }
}

/// Verifies certificates and the host's name: tokio-postgres' `require` leaves both to the TLS library, and rustls
/// always does.
fn tls(database: &DatabaseConfig, host: &str) -> Result<rustls::ClientConfig, ConfigError> {
    let in_url = |problem| ConfigError::new(database.url_variable, problem);
    let mut roots = rustls::RootCertStore::empty();
    if let Some(path) = &database.ca_file {
        let unreadable = |error: &dyn std::fmt::Display| {
            ConfigError::new("DATABASE_CA_FILE", format!("cannot be read: {error}"))
        };
        let certificates =
            CertificateDer::pem_file_iter(path).map_err(|error| unreadable(&error))?;
        for certificate in certificates {
            let certificate = certificate.map_err(|error| unreadable(&error))?;
            roots.add(certificate).map_err(|error| unreadable(&error))?;
        }
    } else if let Some(certificates) = rds::roots_for(host).map_err(in_url)? {
        roots.add_parsable_certificates(certificates);
    } else {
        roots = shared_tls::public_roots();
    }
    shared_tls::client_config(roots).map_err(|error| in_url(error.to_string()))
}
