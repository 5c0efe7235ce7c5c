//! Whom a client trusts, in handshakes with a server in memory.

#![expect(clippy::unwrap_used, reason = "a test stops where it breaks")]

use std::sync::Arc;

use rcgen::{CertifiedKey, generate_simple_self_signed};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{
    CertificateError, ClientConfig, ClientConnection, Error, RootCertStore, ServerConfig,
    ServerConnection,
};
use shared_tls::{client_config, https_config};

/// A server of that name with a certificate of its own.
struct Server {
    config: Arc<ServerConfig>,
    certificate: CertificateDer<'static>,
}

impl Server {
    fn new(name: &str) -> Self {
        let CertifiedKey { cert, signing_key } =
            generate_simple_self_signed([name.to_owned()]).unwrap();
        let certificate = cert.der().clone();
        let key = PrivateKeyDer::try_from(signing_key.serialize_der()).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth();
        let mut config = config.with_single_cert(vec![certificate.clone()], key).unwrap();
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        Self { config: Arc::new(config), certificate }
    }

    fn roots(&self) -> RootCertStore {
        let mut roots = RootCertStore::empty();
        roots.add(self.certificate.clone()).unwrap();
        roots
    }

    /// Completes a handshake of a client that asks for `name`, or returns the client's error.
    fn meet(&self, client: ClientConfig, name: &'static str) -> Result<ClientConnection, Error> {
        let name = ServerName::try_from(name).unwrap();
        let mut client = ClientConnection::new(Arc::new(client), name).unwrap();
        let mut server = ServerConnection::new(self.config.clone()).unwrap();
        while client.is_handshaking() {
            let mut sent = Vec::new();
            client.write_tls(&mut sent).unwrap();
            server.read_tls(&mut &*sent).unwrap();
            server.process_new_packets().unwrap();
            let mut answered = Vec::new();
            while server.wants_write() {
                server.write_tls(&mut answered).unwrap();
            }
            client.read_tls(&mut &*answered).unwrap();
            client.process_new_packets()?;
        }
        Ok(client)
    }
}

#[test]
fn a_certificate_that_no_public_authority_signed_is_refused() {
    let server = Server::new("api.example.com");
    let refused = server.meet(https_config().unwrap(), "api.example.com").unwrap_err();
    assert_eq!(refused, Error::InvalidCertificate(CertificateError::UnknownIssuer));
}

#[test]
fn another_hosts_certificate_is_refused() {
    let server = Server::new("api.example.com");
    let refused = server.meet(client_config(server.roots()).unwrap(), "db.example.com");
    let error = refused.unwrap_err();
    assert!(
        matches!(
            &error,
            Error::InvalidCertificate(CertificateError::NotValidForNameContext { .. })
        ),
        "{error:?}"
    );
}

#[test]
fn only_a_client_of_https_offers_its_protocols() {
    let server = Server::new("api.example.com");
    let mut client = client_config(server.roots()).unwrap();
    let met = server.meet(client.clone(), "api.example.com").unwrap();
    assert_eq!(met.alpn_protocol(), None);
    client.alpn_protocols = https_config().unwrap().alpn_protocols;
    let met = server.meet(client, "api.example.com").unwrap();
    assert_eq!(met.alpn_protocol(), Some(&b"h2"[..]));
}
