//! The variables of functions under measurement, and the systems that they point to.

use tokio::net::TcpListener;

use crate::Result;

/// The variables of all functions; each reads its own.
///
/// The variables are AWS's, so that a start prepares the same: TLS everywhere, and host names that have to
/// be resolved. Every system is the same silent socket: the kernel accepts a connection, and no response
/// ever comes. A start that waits for one never ends, and no server takes processor time away.
pub(crate) struct Environment {
    pub(crate) variables: Vec<(&'static str, String)>,
    _silent: TcpListener,
}

impl Environment {
    pub(crate) async fn new() -> Result<Self> {
        // Never accepts: connections stay in the backlog, which is longer than there are starts; when it is
        // full, the kernel makes new ones wait, which is silence as well.
        let silent = TcpListener::bind("localhost:0").await?;
        let port = silent.local_addr()?.port();
        let secret = "0123456789abcdef0123456789abcdef";
        let variables = vec![
            ("APP_ORIGIN", "https://chat.example.com".to_owned()),
            ("ORIGIN_SECRET", secret.to_owned()),
            ("SESSION_KEYS", format!("bench:{secret}")),
            ("LOGIN_PEPPER", secret.to_owned()),
            ("MAIL_FROM", "Chat <login@example.com>".to_owned()),
            ("DATABASE_URL", format!("postgres://app_user@localhost:{port}/chat?sslmode=require")),
            (
                "MONEY_DATABASE_URL",
                format!("postgres://app_money@localhost:{port}/chat?sslmode=require"),
            ),
            ("DATABASE_AUTH", "iam".to_owned()),
            ("DATABASE_POOL_SIZE", "1".to_owned()),
            ("DATABASE_OWNER", r#"{"username":"owner","password":"owner"}"#.to_owned()),
            ("CACHE_URL", format!("rediss://localhost:{port}")),
            ("CACHE_NAME", "chat".to_owned()),
            ("CACHE_USER", "chat".to_owned()),
            ("OPENROUTER_BASE_URL", format!("https://localhost:{port}/api/v1")),
            ("OPENROUTER_API_KEY", "sk-or-v1-bench".to_owned()),
            ("CASHFREE_MODE", "sandbox".to_owned()),
            ("CASHFREE_BASE_URL", format!("https://localhost:{port}/pg")),
            ("CASHFREE_CLIENT_ID", "TEST_bench".to_owned()),
            ("CASHFREE_CLIENT_SECRET", secret.to_owned()),
            ("CASHFREE_WEBHOOK_SECRETS", secret.to_owned()),
            ("INBOX_TABLE", "chat-inbox".to_owned()),
            ("UPLOADS_BUCKET", "chat-uploads".to_owned()),
            ("PDF_ENGINE", "cloudflare-ai".to_owned()),
            ("VAULT_KEYS", "arn:aws:kms:eu-central-1:123456789012:key/bench".to_owned()),
            ("AWS_REGION", "eu-central-1".to_owned()),
            ("AWS_ACCESS_KEY_ID", "ASIABENCHBENCHBENCHB".to_owned()),
            ("AWS_SECRET_ACCESS_KEY", secret.to_owned()),
            ("AWS_SESSION_TOKEN", secret.to_owned()),
        ];
        Ok(Self { variables, _silent: silent })
    }
}

#[cfg(test)]
mod tests {
    use testkit::{Deployed, deployed_variables, example_variables};

    use super::*;

    #[tokio::test]
    async fn every_required_variable_of_the_template_is_set() {
        let environment = Environment::new().await.unwrap();
        let is_set = |name: &str| environment.variables.iter().any(|(known, _)| *known == name);
        let example = example_variables();
        for function in [
            "OtpFunction",
            "VerifyFunction",
            "AccountFunction",
            "KeysFunction",
            "OrdersFunction",
            "WebhookFunction",
            "PresignFunction",
            "InspectFunction",
            "ModelsFunction",
            "ChatStreamFunction",
            "SweepFunction",
            "MigrateFunction",
        ] {
            for (name, deployed) in deployed_variables(function) {
                // Excepted: what no function reads, and what AWS sets by itself.
                let is_optional = example.get(&name).is_none_or(String::is_empty);
                let is_excepted = is_optional || name == "REVISION" || name.starts_with("AWS_");
                let is_text = matches!(deployed, Deployed::Text(_));
                assert!(is_text || is_excepted || is_set(&name), "{function}: {name}");
            }
        }
    }
}
