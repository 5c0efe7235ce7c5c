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
            ("DATABASE_AUTH", "iam".to_owned()),
            ("DATABASE_POOL_SIZE", "1".to_owned()),
            ("DATABASE_OWNER", r#"{"username":"owner","password":"owner"}"#.to_owned()),
            ("CACHE_URL", format!("rediss://localhost:{port}")),
            ("CACHE_NAME", "chat".to_owned()),
            ("CACHE_USER", "chat".to_owned()),
            ("OPENROUTER_BASE_URL", format!("https://localhost:{port}/api/v1")),
            ("OPENROUTER_API_KEY", "sk-or-v1-bench".to_owned()),
            ("INBOX_TABLE", "chat-inbox".to_owned()),
            ("AWS_REGION", "eu-central-1".to_owned()),
            ("AWS_ACCESS_KEY_ID", "ASIABENCHBENCHBENCHB".to_owned()),
            ("AWS_SECRET_ACCESS_KEY", secret.to_owned()),
            ("AWS_SESSION_TOKEN", secret.to_owned()),
        ];
        Ok(Self { variables, _silent: silent })
    }
}
