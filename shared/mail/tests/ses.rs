//! Errors of failed mails. Delivery is tested with `otp`.

#![expect(clippy::unwrap_used, reason = "a test that cannot be set up has failed")]

use fake_aws::{FakeAws, Trouble};
use shared_aws::Aws;
use shared_core::env::Env;
use shared_core::identity::{Code, Email, LoginMail, Mailer};
use shared_core::random::Entropy;
use shared_mail::{MailConfig, Ses};

fn ses(fake: &FakeAws) -> Ses {
    let variables = fake.variables();
    let env = Env::new(|name| match name {
        "MAIL_FROM" => Some("Chat <login@chat.example.com>".to_owned()),
        _ => variables.iter().find(|(key, _)| *key == name).map(|(_, value)| value.clone()),
    });
    Ses::new(MailConfig::from_env(&env).unwrap(), Aws::from_env(&env).unwrap())
}

fn mail() -> LoginMail {
    let to = Email::parse("ada@example.com").unwrap();
    LoginMail { to, code: Code::draw(&Entropy::new(|bytes| bytes.fill(7))) }
}

#[tokio::test]
async fn ses_error_messages_are_redacted() {
    let message = "Email address is not verified: ada@example.com";
    for (status, body, described) in [
        (
            400,
            format!(r#"{{"__type":"MessageRejected","message":"{message}"}}"#),
            "SES: MessageRejected, status 400, request 00000000-0000-4000-8000-000000000000",
        ),
        // No error code: a proxy's response, or an address where a code should be.
        (502, message.to_owned(), "SES: an error without a code, status 502"),
        (400, r#"{"__type":"ada@example.com"}"#.to_owned(), "SES: an error without a code"),
        // Accepted, but unreadable.
        (200, format!("<p>{message}"), "SES: an answer that cannot be read, status 200"),
    ] {
        let fake = FakeAws::start().await.unwrap();
        fake.script(9, &Trouble::Answer { status, body });
        let error = ses(&fake).send(mail()).await.unwrap_err();
        let shown = format!("{error} {error:?}");
        assert!(shown.starts_with(described), "{shown}");
        assert!(!shown.contains("ada@") && !shown.contains("verified"), "{shown}");
    }
}

#[tokio::test]
async fn the_client_is_created_by_the_first_mail_and_reused() {
    let fake = FakeAws::start().await.unwrap();
    let ses = ses(&fake);
    let is_made = || !format!("{ses:?}").contains("<uninit>");
    assert!(!is_made());
    for sent in 1..=2 {
        fake.script(1, &Trouble::Answer { status: 200, body: r#"{"MessageId":"1"}"#.to_owned() });
        ses.send(mail()).await.unwrap();
        assert!(is_made());
        assert_eq!(fake.calls().len(), sent);
    }
}
