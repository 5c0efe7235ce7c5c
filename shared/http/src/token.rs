//! Session tokens: JWTs, signed with HS256 and nothing else.
//!
//! `jsonwebtoken` takes a crypto provider; ours has HMAC-SHA-256 alone, so there is no other algorithm
//! in the process that a token could name (algorithm confusion).

use std::sync::Arc;

use hmac::{Hmac, KeyInit, Mac};
use jiff::Timestamp;
use jsonwebtoken::crypto::{CryptoProvider, JwtSigner, JwtVerifier, KeyUtils};
use jsonwebtoken::errors::{ErrorKind, Result as JwtResult};
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation};
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use shared_core::env::{ConfigError, Env};
use shared_core::identity::{Session, SessionError};
use shared_core::ids::{SessionId, UserId};
use signature::{Signer, Verifier};

use crate::HttpConfig;

/// The signing keys of sessions, with key rotation.
///
/// `SESSION_KEYS`: `id:secret,id:secret`, secrets of at least 32 characters. The first signs; all
/// verify, so an old key stays until the last of its sessions has expired (30 days). An id may be
/// omitted, as for a secret that Secrets Manager generated: then it is a fingerprint of the secret.
#[derive(Debug, Clone)]
pub struct SessionKeys(Vec<(String, SecretString)>);

impl SessionKeys {
    /// Reads `SESSION_KEYS`.
    pub fn from_env(env: &Env<'_>) -> Result<Self, ConfigError> {
        let variable = "SESSION_KEYS";
        let malformed = || {
            ConfigError::new(
                variable,
                "has to be id:secret,id:secret with secrets of 32 characters or more",
            )
        };
        let keys = env
            .required(variable)?
            .split(',')
            .map(|key| {
                let key = key.trim();
                let (id, secret) = match key.split_once(':') {
                    Some((id, secret)) => (id.to_owned(), secret),
                    None => (fingerprint(key), key),
                };
                let long_enough = !id.is_empty() && secret.len() >= 32;
                long_enough.then(|| (id, secret.into())).ok_or_else(malformed)
            })
            .collect::<Result<Vec<_>, _>>()?;
        Ok(Self(keys))
    }
}

/// Identifies a random secret without revealing it: 32 bits of its hash.
fn fingerprint(secret: &str) -> String {
    let hash = Sha256::digest(secret);
    format!("{:08x}", u32::from_be_bytes(std::array::from_fn(|place| hash[place])))
}

#[derive(Serialize, Deserialize)]
struct Claims {
    iss: String,
    aud: String,
    sub: UserId,
    jti: SessionId,
    iat: i64,
    nbf: i64,
    exp: i64,
}

/// Signs and verifies session tokens. Cheap to clone.
#[derive(Clone)]
pub struct Tokens {
    keys: Arc<[Key]>,
    origin: Arc<str>,
}

struct Key {
    id: String,
    signing: EncodingKey,
    verifying: DecodingKey,
}

impl Tokens {
    /// Tokens of this product: the keys of `SESSION_KEYS`, issued by `APP_ORIGIN` for itself.
    pub fn from_env(env: &Env<'_>) -> Result<Self, ConfigError> {
        Ok(Self::new(&SessionKeys::from_env(env)?, &HttpConfig::from_env(env)?))
    }

    /// Creates tokens whose issuer and audience are the app's origin.
    pub fn new(keys: &SessionKeys, app: &HttpConfig) -> Self {
        // Fails if this process has installed the same provider already.
        let _ = HS256.install_default();
        let keys = keys.0.iter().map(|(id, secret)| {
            let secret = secret.expose_secret().as_bytes();
            let (signing, verifying) =
                (EncodingKey::from_secret(secret), DecodingKey::from_secret(secret));
            Key { id: id.clone(), signing, verifying }
        });
        Self { keys: keys.collect(), origin: app.origin.as_str().into() }
    }

    /// Signs a token for a session that begins now. `None` only if there is no key.
    pub fn sign(&self, session: &Session, now: Timestamp) -> Option<String> {
        let key = self.keys.first()?;
        let mut header = Header::new(Algorithm::HS256);
        header.kid = Some(key.id.clone());
        let claims = Claims {
            iss: self.origin.to_string(),
            aud: self.origin.to_string(),
            sub: session.user,
            jti: session.id,
            iat: now.as_second(),
            nbf: now.as_second(),
            exp: session.expires_at.as_second(),
        };
        jsonwebtoken::encode(&header, &claims, &key.signing).ok()
    }

    /// Verifies a token's signature, issuer, audience and times, and returns its session.
    pub fn verify(&self, token: &str, now: Timestamp) -> Result<Session, SessionError> {
        let header = jsonwebtoken::decode_header(token).map_err(|_| SessionError::Missing)?;
        let key = self
            .keys
            .iter()
            .find(|key| header.kid.as_deref() == Some(&key.id))
            .ok_or(SessionError::Missing)?;
        let claims = jsonwebtoken::decode::<Claims>(token, &key.verifying, &self.validation())
            .map_err(|_| SessionError::Missing)?
            .claims;
        // Times are compared with the caller's clock, not the library's.
        let now = now.as_second();
        if claims.exp <= now {
            return Err(SessionError::Ended);
        }
        let expires_at = Timestamp::from_second(claims.exp).map_err(|_| SessionError::Missing)?;
        if claims.nbf > now + LEEWAY {
            return Err(SessionError::Missing);
        }
        Ok(Session { user: claims.sub, id: claims.jti, expires_at })
    }

    fn validation(&self) -> Validation {
        let mut validation = Validation::new(Algorithm::HS256);
        validation.set_issuer(&[&self.origin]);
        validation.set_audience(&[&self.origin]);
        validation.set_required_spec_claims(&["iss", "aud", "exp", "nbf", "sub"]);
        validation.validate_exp = false;
        validation.validate_nbf = false;
        validation
    }
}

/// Tolerated clock skew between two Lambda hosts, in seconds.
const LEEWAY: i64 = 5;

impl std::fmt::Debug for Tokens {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let ids: Vec<_> = self.keys.iter().map(|key| &key.id).collect();
        f.debug_struct("Tokens").field("keys", &ids).field("origin", &self.origin).finish()
    }
}

static HS256: CryptoProvider = CryptoProvider {
    signer_factory: |algorithm, key| Ok(Box::new(Hs256::new(*algorithm, key.as_bytes())?)),
    verifier_factory: |algorithm, key| {
        Ok(Box::new(Hs256::new(*algorithm, key.try_get_as_bytes()?)?))
    },
    key_utils: KeyUtils::new_unimplemented(),
};

struct Hs256(Hmac<Sha256>);

impl Hs256 {
    fn new(algorithm: Algorithm, secret: &[u8]) -> JwtResult<Self> {
        if algorithm != Algorithm::HS256 {
            return Err(ErrorKind::InvalidAlgorithm.into());
        }
        Hmac::new_from_slice(secret).map(Self).map_err(|_| ErrorKind::InvalidKeyFormat.into())
    }
}

impl Signer<Vec<u8>> for Hs256 {
    fn try_sign(&self, message: &[u8]) -> Result<Vec<u8>, signature::Error> {
        Ok(self.0.clone().chain_update(message).finalize().into_bytes().to_vec())
    }
}

impl Verifier<Vec<u8>> for Hs256 {
    /// In constant time.
    fn verify(&self, message: &[u8], signature: &Vec<u8>) -> Result<(), signature::Error> {
        self.0
            .clone()
            .chain_update(message)
            .verify_slice(signature)
            .map_err(signature::Error::from_source)
    }
}

impl JwtSigner for Hs256 {
    fn algorithm(&self) -> Algorithm {
        Algorithm::HS256
    }
}

impl JwtVerifier for Hs256 {
    fn algorithm(&self) -> Algorithm {
        Algorithm::HS256
    }
}

#[cfg(test)]
mod tests {
    use shared_core::env::Env;

    use super::*;

    fn tokens(keys: &str) -> Tokens {
        let variables = |name: &str| match name {
            "SESSION_KEYS" => Some(keys.to_owned()),
            "APP_ORIGIN" => Some("https://chat.example.com".to_owned()),
            _ => None,
        };
        let env = Env::new(variables);
        Tokens::new(&SessionKeys::from_env(&env).unwrap(), &HttpConfig::from_env(&env).unwrap())
    }

    #[test]
    fn key_rotation_without_ids_logs_no_user_out() {
        let (old, new) = ("old-old-old-old-old-old-old-old-", "new-new-new-new-new-new-new-new-");
        let now = Timestamp::UNIX_EPOCH;
        let session = Session {
            user: UserId(uuid::Uuid::nil()),
            id: SessionId(uuid::Uuid::nil()),
            expires_at: now + jiff::SignedDuration::from_hours(1),
        };
        let token = tokens(old).sign(&session, now).unwrap();
        assert!(tokens(&format!("{new},{old}")).verify(&token, now).is_ok());
        assert!(tokens(new).verify(&token, now).is_err());
    }
}
