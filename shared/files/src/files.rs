//! The client of S3: one per process.

use std::fmt;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use aws_sdk_s3::Client;
use aws_sdk_s3::config::timeout::TimeoutConfig;
use aws_sdk_s3::config::{Builder, RequestChecksumCalculation, ResponseChecksumValidation};
use shared_aws::Aws;
use shared_core::env::{ConfigError, Env};

use crate::FilesConfig;

/// The largest objects have some 30 MiB, which Lambda sends in a second.
const ATTEMPT_WITHIN: Duration = Duration::from_secs(8);
const ANSWER_WITHIN: Duration = Duration::from_secs(12);

/// Users' files. Cheap to clone; clones share one client.
#[derive(Clone)]
pub struct Files(Arc<Bucket>);

struct Bucket {
    name: String,
    aws: Aws,
    client: OnceLock<Client>,
}

impl Files {
    /// The files in the bucket `UPLOADS_BUCKET`.
    pub fn from_env(env: &Env<'_>, aws: &Aws) -> Result<Self, ConfigError> {
        FilesConfig::from_env(env).map(|config| Self::new(&config, aws))
    }

    /// Lazy: the first call creates the client.
    pub fn new(config: &FilesConfig, aws: &Aws) -> Self {
        let client = OnceLock::new();
        Self(Arc::new(Bucket { name: config.bucket.clone(), aws: aws.clone(), client }))
    }

    pub(crate) fn bucket(&self) -> &str {
        &self.0.name
    }

    pub(crate) fn client(&self) -> &Client {
        self.0.client.get_or_init(|| {
            let timeouts = TimeoutConfig::builder()
                .operation_attempt_timeout(ATTEMPT_WITHIN)
                .operation_timeout(ANSWER_WITHIN)
                .build();
            // The SDK's default adds checksums: to a URL that it signs, that of an empty body, which no file has.
            let config = Builder::from(self.0.aws.sdk_config())
                .timeout_config(timeouts)
                .request_checksum_calculation(RequestChecksumCalculation::WhenRequired)
                .response_checksum_validation(ResponseChecksumValidation::WhenRequired)
                .force_path_style(self.0.aws.has_other_s3())
                .build();
            Client::from_conf(config)
        })
    }
}

impl fmt::Debug for Files {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Files").field("bucket", &self.0.name).finish_non_exhaustive()
    }
}
