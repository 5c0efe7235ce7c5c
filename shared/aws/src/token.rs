//! IAM authentication: a password for RDS or `ElastiCache` is a request that this process signs and
//! does not send. The server checks it against IAM.
//!
//! Signing takes no network. A token opens connections for 15 minutes, so one is signed for each
//! connection.

use std::time::{Duration, SystemTime};

use aws_sigv4::http_request::{
    SignableBody, SignableRequest, SignatureLocation, SigningError, SigningSettings, sign,
};
use aws_sigv4::sign::v4::SigningParams;
use jiff::Timestamp;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use secrecy::SecretString;

use crate::Aws;

/// A token's lifetime: the maximum that both services allow.
pub const TOKEN_LIFETIME: Duration = Duration::from_mins(15);

/// What `SigV4` escapes in a query: all but the unreserved characters.
const ESCAPED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// No token could be signed; most likely the host's name is invalid.
#[derive(Debug, thiserror::Error)]
#[error("an IAM token cannot be signed")]
pub struct TokenError(#[source] Box<dyn std::error::Error + Send + Sync>);

impl From<SigningError> for TokenError {
    fn from(error: SigningError) -> Self {
        Self(error.into())
    }
}

impl Aws {
    /// The password of `user` on the RDS instance at `host`, for a connection opened between `now`
    /// and [`TOKEN_LIFETIME`] later.
    ///
    /// `host` is the name that RDS gave to the instance: an alias of it is signed as another host.
    /// The form is that of [RDS's documentation][1].
    ///
    /// [1]: https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide/UsingWithRDS.IAMDBAuth.Connecting.html
    pub fn database_token(
        &self,
        host: &str,
        port: u16,
        user: &str,
        now: Timestamp,
    ) -> Result<SecretString, TokenError> {
        let user = utf8_percent_encode(user, ESCAPED);
        let request = format!("{host}:{port}/?Action=connect&DBUser={user}");
        self.presign(&request, "rds-db", now)
    }

    /// The password of `user` on the serverless cache called `cache`, for a connection opened between
    /// `now` and [`TOKEN_LIFETIME`] later.
    ///
    /// The cache's name takes the host's place, as [`ElastiCache`'s documentation][1] says.
    ///
    /// [1]: https://docs.aws.amazon.com/AmazonElastiCache/latest/dg/auth-iam.html
    pub fn cache_token(
        &self,
        cache: &str,
        user: &str,
        now: Timestamp,
    ) -> Result<SecretString, TokenError> {
        let user = utf8_percent_encode(user, ESCAPED);
        let request = format!("{cache}/?Action=connect&User={user}&ResourceType=ServerlessCache");
        self.presign(&request, "elasticache", now)
    }

    /// Signs a GET of `https://{request}`; the result omits the scheme, as both services expect it.
    fn presign(
        &self,
        request: &str,
        service: &str,
        now: Timestamp,
    ) -> Result<SecretString, TokenError> {
        let mut settings = SigningSettings::default();
        settings.signature_location = SignatureLocation::QueryParams;
        settings.expires_in = Some(TOKEN_LIFETIME);
        let identity = self.credentials().clone().into();
        let params = SigningParams::builder()
            .identity(&identity)
            .region(self.region())
            .name(service)
            .time(SystemTime::from(now))
            .settings(settings)
            .build()
            .map_err(|error| TokenError(error.into()))?
            .into();
        let url = format!("https://{request}");
        let unsigned =
            SignableRequest::new("GET", url, std::iter::empty(), SignableBody::Bytes(&[]))?;
        let (instructions, _) = sign(unsigned, &params)?.into_parts();
        let mut token = request.to_owned();
        for (name, value) in instructions.params() {
            token.push('&');
            token.push_str(name);
            token.push('=');
            token.extend(utf8_percent_encode(value, ESCAPED));
        }
        Ok(token.into())
    }
}
