//! Region and credentials, and the configuration that SDK clients are made from.

use std::fmt;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use aws_credential_types::Credentials;
use aws_credential_types::provider::SharedCredentialsProvider;
use aws_smithy_types::retry::RetryConfig;
use aws_smithy_types::timeout::TimeoutConfig;
use aws_types::SdkConfig;
use aws_types::region::Region;
use aws_types::service_config::{LoadServiceConfig, ServiceConfigKey};
use shared_core::env::{ConfigError, Env};

use crate::http_client::http_client;

/// AWS's endpoints are in the same region: a connection that takes longer will fail anyway.
const CONNECT_WITHIN: Duration = Duration::from_secs(2);
/// A dead connection, broken while the function instance was frozen, answers nothing; the retry needs
/// time to open a new one.
const ATTEMPT_WITHIN: Duration = Duration::from_millis(2500);
/// All attempts together: a client waits for the answer.
const ANSWER_WITHIN: Duration = Duration::from_secs(5);
/// Two retries, with a random backoff (at most this, then twice this) that fits into a cold start; the
/// SDK's own begins with a second.
const ATTEMPTS: u32 = 3;
const BACKOFF: Duration = Duration::from_millis(100);

/// The account. Cheap to clone; clones share one HTTP client and its connections.
#[derive(Clone)]
pub struct Aws(Arc<Account>);

struct Account {
    region: Region,
    credentials: Credentials,
    dual_stack: bool,
    endpoint: Option<String>,
    services: ServiceEndpoints,
    sdk: OnceLock<SdkConfig>,
}

impl Aws {
    /// Reads what Lambda sets: `AWS_REGION`, `AWS_ACCESS_KEY_ID`, `AWS_SECRET_ACCESS_KEY` and
    /// `AWS_SESSION_TOKEN`, which the access keys of an IAM user do without. They are valid for as long
    /// as the function instance lives.
    ///
    /// `AWS_USE_DUALSTACK_ENDPOINT` (`true`) selects the dual-stack endpoints, which IPv6 can reach, and
    /// `AWS_ENDPOINT_URL` another one for all services, such as a test's. `AWS_ENDPOINT_URL_DYNAMODB` and
    /// `AWS_ENDPOINT_URL_S3` override it for these: on a developer's machine there are no others.
    pub fn from_env(env: &Env<'_>) -> Result<Self, ConfigError> {
        let region = Region::new(env.required("AWS_REGION")?);
        let credentials = Credentials::new(
            env.required("AWS_ACCESS_KEY_ID")?,
            env.required("AWS_SECRET_ACCESS_KEY")?,
            env.optional("AWS_SESSION_TOKEN"),
            None,
            "environment",
        );
        let dual_stack = env.parsed("AWS_USE_DUALSTACK_ENDPOINT", false)?;
        let endpoint = env.optional("AWS_ENDPOINT_URL");
        let services = ServiceEndpoints {
            dynamodb: env.optional("AWS_ENDPOINT_URL_DYNAMODB"),
            s3: env.optional("AWS_ENDPOINT_URL_S3"),
        };
        let sdk = OnceLock::new();
        Ok(Self(Arc::new(Account { region, credentials, dual_stack, endpoint, services, sdk })))
    }

    /// The region's name, such as `ap-south-1`.
    pub fn region(&self) -> &str {
        self.0.region.as_ref()
    }

    /// The configuration for SDK clients. The first call creates the HTTP client; none makes a request.
    pub fn sdk_config(&self) -> &SdkConfig {
        self.0.sdk.get_or_init(|| self.0.sdk_config())
    }

    /// Whether S3 is not AWS's own: others know their buckets by the path, not by the host's name.
    pub fn has_other_s3(&self) -> bool {
        self.0.endpoint.is_some() || self.0.services.s3.is_some()
    }

    pub(crate) fn credentials(&self) -> &Credentials {
        &self.0.credentials
    }
}

impl Account {
    fn sdk_config(&self) -> SdkConfig {
        let timeouts = TimeoutConfig::builder()
            .connect_timeout(CONNECT_WITHIN)
            .operation_attempt_timeout(ATTEMPT_WITHIN)
            .operation_timeout(ANSWER_WITHIN)
            .build();
        let retries =
            RetryConfig::standard().with_max_attempts(ATTEMPTS).with_initial_backoff(BACKOFF);
        let mut sdk = SdkConfig::builder()
            .region(self.region.clone())
            .credentials_provider(SharedCredentialsProvider::new(self.credentials.clone()))
            .http_client(http_client())
            .timeout_config(timeouts)
            .retry_config(retries)
            .use_dual_stack(self.dual_stack)
            .service_config(self.services.clone());
        sdk.set_endpoint_url(self.endpoint.clone());
        sdk.build()
    }
}

/// Resolves the service-specific `AWS_ENDPOINT_URL` for SDK clients. The SDK's own resolver brings the
/// default chain along.
#[derive(Debug, Clone)]
struct ServiceEndpoints {
    dynamodb: Option<String>,
    s3: Option<String>,
}

impl LoadServiceConfig for ServiceEndpoints {
    fn load_config(&self, key: ServiceConfigKey<'_>) -> Option<String> {
        match (key.env(), key.service_id()) {
            ("AWS_ENDPOINT_URL", "DynamoDB") => self.dynamodb.clone(),
            ("AWS_ENDPOINT_URL", "S3") => self.s3.clone(),
            _ => None,
        }
    }
}

impl fmt::Debug for Aws {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Aws").field("region", &self.region()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const REQUIRED: [(&str, &str); 3] = [
        ("AWS_REGION", "ap-south-1"),
        ("AWS_ACCESS_KEY_ID", "AKIDEXAMPLE"),
        ("AWS_SECRET_ACCESS_KEY", "hunter2"),
    ];

    fn aws(variables: &[(&str, &str)]) -> Result<Aws, ConfigError> {
        let found = |name: &str| variables.iter().find(|(key, _)| *key == name);
        Aws::from_env(&Env::new(|name| found(name).map(|(_, value)| (*value).to_owned())))
    }

    #[test]
    fn a_missing_variable_is_named() {
        for (missing, _) in REQUIRED {
            let rest: Vec<_> = REQUIRED.into_iter().filter(|(name, _)| *name != missing).collect();
            assert_eq!(aws(&rest).unwrap_err(), ConfigError::new(missing, "is not set"));
        }
    }

    #[test]
    fn the_session_token_is_optional_and_nothing_secret_is_printed() {
        let aws = aws(&REQUIRED).unwrap();
        assert_eq!(aws.region(), "ap-south-1");
        let printed = format!("{aws:?} {:?}", aws.credentials());
        assert!(!printed.contains("hunter2"), "{printed}");
    }

    #[tokio::test]
    async fn the_http_client_is_created_once_and_only_when_needed() {
        let aws = aws(&REQUIRED).unwrap();
        crate::Secrets::fetch(&aws, &[]).await.unwrap();
        assert!(aws.0.sdk.get().is_none());
        assert!(std::ptr::eq(aws.sdk_config(), aws.clone().sdk_config()));
    }

    #[test]
    fn dual_stack_endpoints_can_be_selected() {
        let with = |value| {
            let mut variables = REQUIRED.to_vec();
            variables.push(("AWS_USE_DUALSTACK_ENDPOINT", value));
            aws(&variables)
        };
        assert_eq!(with("true").unwrap().sdk_config().use_dual_stack(), Some(true));
        assert_eq!(with("").unwrap().sdk_config().use_dual_stack(), Some(false));
        let error = with("yes").unwrap_err().to_string();
        assert!(error.starts_with("AWS_USE_DUALSTACK_ENDPOINT cannot be read"), "{error}");
    }

    #[test]
    fn dynamodb_and_s3_may_have_their_own_endpoints() {
        let endpoint = |variables: &[(&str, &str)], service: &str| {
            let aws = aws(&[&REQUIRED, variables].concat()).unwrap();
            let key = ServiceConfigKey::builder().env("AWS_ENDPOINT_URL").profile("endpoint_url");
            let key = key.service_id(service).build().unwrap();
            aws.sdk_config().service_config().and_then(|config| config.load_config(key))
        };
        let variables = [
            ("AWS_ENDPOINT_URL", "http://localhost:1"),
            ("AWS_ENDPOINT_URL_DYNAMODB", "http://localhost:2"),
            ("AWS_ENDPOINT_URL_S3", "http://localhost:3"),
        ];
        assert_eq!(endpoint(&variables, "DynamoDB").as_deref(), Some("http://localhost:2"));
        assert_eq!(endpoint(&variables, "S3").as_deref(), Some("http://localhost:3"));
        assert_eq!(endpoint(&variables, "KMS"), None);
        assert_eq!(endpoint(&variables[..1], "DynamoDB"), None);
    }
}
