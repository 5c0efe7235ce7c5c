//! TLS of outgoing connections: rustls on ring, certificates and host names always verified.
//!
//! Only the AWS SDKs and the Valkey client configure TLS by themselves, with the same library and the same roots.

use std::sync::Arc;

use rustls::crypto::ring;
use rustls::{ClientConfig, Error, RootCertStore};

/// Mozilla's root certificates, compiled in: scanning the disk for certificates costs a cold start 4–5 ms.
pub fn public_roots() -> RootCertStore {
    RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() }
}

/// A client that trusts `roots`, with TLS 1.2 or 1.3. Offers no ALPN protocols.
pub fn client_config(roots: RootCertStore) -> Result<ClientConfig, Error> {
    let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()?;
    Ok(config.with_root_certificates(roots).with_no_client_auth())
}

/// A client of public HTTPS servers: trusts [`public_roots`], and offers HTTP/2 and HTTP/1.1 (ALPN).
///
/// For `reqwest`, which offers no protocols by itself with a preconfigured TLS backend. On HTTP/2, cancelling a response
/// leaves the connection open.
pub fn https_config() -> Result<ClientConfig, Error> {
    let mut config = client_config(public_roots())?;
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(config)
}
