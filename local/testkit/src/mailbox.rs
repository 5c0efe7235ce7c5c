//! Collects the login mails of a test.

use std::pin::Pin;
use std::sync::{Arc, Mutex};

use shared_core::identity::{LoginMail, Mailer};
use shared_core::store::BoxError;

/// Keeps the mails, or refuses them after [`break_down`](Self::break_down).
#[derive(Clone, Debug, Default)]
pub struct Mailbox {
    mails: Arc<Mutex<Vec<LoginMail>>>,
    broken: Arc<Mutex<bool>>,
}

impl Mailbox {
    /// All mails, oldest first.
    pub fn mails(&self) -> Vec<LoginMail> {
        self.mails.lock().unwrap().clone()
    }

    /// The newest code that was sent.
    pub fn newest_code(&self) -> String {
        self.mails().last().expect("a code was sent").code.as_str().to_owned()
    }

    /// Makes every later mail fail.
    pub fn break_down(&self) {
        *self.broken.lock().unwrap() = true;
    }
}

impl Mailer for Mailbox {
    fn send(
        &self,
        mail: LoginMail,
    ) -> Pin<Box<dyn Future<Output = Result<(), BoxError>> + Send + '_>> {
        let result = if *self.broken.lock().unwrap() {
            Err("the mail server is away".into())
        } else {
            Ok(())
        };
        if result.is_ok() {
            self.mails.lock().unwrap().push(mail);
        }
        Box::pin(std::future::ready(result))
    }
}
