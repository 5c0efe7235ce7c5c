//! Amazon SES: hands login mails over.

use std::pin::Pin;

use aws_sdk_sesv2::Client;
use aws_sdk_sesv2::config::BehaviorVersion;
use aws_sdk_sesv2::error::{DisplayErrorContext, ProvideErrorMetadata, SdkError};
use aws_sdk_sesv2::operation::RequestId;
use aws_sdk_sesv2::operation::send_email::SendEmailError;
use aws_sdk_sesv2::types::{Body, Content, Destination, EmailContent, Message};
use aws_smithy_http_client::tls;
use shared_core::env::{ConfigError, Env};
use shared_core::login::{BoxError, LoginMail, Mailer};

/// Who the mails are from.
#[derive(Debug, Clone)]
pub struct MailConfig {
    /// `MAIL_FROM`: an address or domain verified in SES, such as `Chat <login@example.com>`.
    pub from: String,
}

impl MailConfig {
    /// Reads the variables named at each field. SES is that of `AWS_REGION`.
    pub fn from_env(env: &Env<'_>) -> Result<Self, ConfigError> {
        Ok(Self { from: env.required("MAIL_FROM")? })
    }
}

/// Sends through SES.
#[derive(Debug, Clone)]
pub struct Ses {
    client: Client,
    from: String,
}

impl Ses {
    /// Reads region and credentials from where Lambda puts them. No request is made.
    pub async fn new(config: MailConfig) -> Self {
        // The SDK's default client would bring a second HTTP stack and scan the disk for roots.
        let http = aws_smithy_http_client::Builder::new()
            .tls_provider(tls::Provider::Rustls(tls::rustls_provider::CryptoMode::Ring))
            .build_https();
        let aws = aws_config::defaults(BehaviorVersion::latest()).http_client(http).load().await;
        Self { client: Client::new(&aws), from: config.from }
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
            self.client
                .send_email()
                .from_email_address(&self.from)
                .destination(Destination::builder().to_addresses(mail.to.as_str()).build())
                .content(EmailContent::builder().simple(message).build())
                .send()
                .await
                .map(drop)
                .map_err(|error| what_went_wrong(error).into())
        })
    }
}

/// For the log: SES's own words are left out, because they repeat the address.
fn what_went_wrong(error: SdkError<SendEmailError>) -> String {
    if let Some(refusal) = error.as_service_error() {
        let code = refusal.code().unwrap_or("an error without a code");
        return format!(
            "SES: {code}, request {}",
            refusal.meta().request_id().unwrap_or("unknown")
        );
    }
    DisplayErrorContext(error).to_string()
}
