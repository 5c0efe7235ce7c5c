//! Sends login mails through Amazon SES.

use std::pin::Pin;
use std::sync::OnceLock;

use aws_sdk_sesv2::Client;
use aws_sdk_sesv2::types::{Body, Content, Destination, EmailContent, Message};
use shared_aws::{Aws, AwsError};
use shared_core::env::{ConfigError, Env};
use shared_core::identity::{LoginMail, Mailer};
use shared_core::store::BoxError;

/// The mails' configuration.
#[derive(Debug, Clone)]
pub struct MailConfig {
    /// `MAIL_FROM`: an address or domain verified in SES, such as `Chat <login@example.com>`.
    pub from: String,
}

impl MailConfig {
    /// Reads the variables named at each field. SES is called in the account's region.
    pub fn from_env(env: &Env<'_>) -> Result<Self, ConfigError> {
        Ok(Self { from: env.required("MAIL_FROM")? })
    }
}

/// Sends through SES.
#[derive(Debug)]
pub struct Ses {
    aws: Aws,
    client: OnceLock<Client>,
    from: String,
}

impl Ses {
    /// Sends as the sender of `MAIL_FROM`.
    pub fn from_env(env: &Env<'_>, aws: Aws) -> Result<Self, ConfigError> {
        MailConfig::from_env(env).map(|config| Self::new(config, aws))
    }

    /// Lazy: the first mail creates the client.
    pub fn new(config: MailConfig, aws: Aws) -> Self {
        Self { aws, client: OnceLock::new(), from: config.from }
    }

    fn client(&self) -> &Client {
        self.client.get_or_init(|| Client::new(self.aws.sdk_config()))
    }
}

impl Mailer for Ses {
    fn send(
        &self,
        mail: LoginMail,
    ) -> Pin<Box<dyn Future<Output = Result<(), BoxError>> + Send + '_>> {
        Box::pin(async move {
            let subject = Content::builder().data(mail.subject()).charset("UTF-8").build()?;
            let text = Content::builder().data(mail.text()).charset("UTF-8").build()?;
            let message = Message::builder()
                .subject(subject)
                .body(Body::builder().text(text).build())
                .build();
            self.client()
                .send_email()
                .from_email_address(&self.from)
                .destination(Destination::builder().to_addresses(mail.to.as_str()).build())
                .content(EmailContent::builder().simple(message).build())
                .send()
                .await
                .map(drop)
                // Drops SES's own message, which repeats the address.
                .map_err(|error| AwsError::new("SES", &error).into())
        })
    }
}
