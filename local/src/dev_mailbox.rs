//! The mailbox that replaces SES on a developer's machine: keeps login mails and shows them at
//! `/local/inbox`.

use std::collections::VecDeque;
use std::fmt::Write;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use axum::extract::State;
use axum::response::{Html, IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use http::{HeaderMap, header};
use jiff::Timestamp;
use serde::Serialize;
use shared_core::clock::Clock;
use shared_core::identity::{LoginMail, Mailer};
use shared_core::store::BoxError;

/// The number of mails that are kept; older ones are dropped.
const KEPT: usize = 200;

/// Called with the address and the code of each mail that arrives.
pub type Announce = fn(&str, &str);

/// All mails that were sent, newest first.
#[derive(Clone, Debug)]
pub struct DevMailbox {
    clock: Clock,
    mails: Arc<Mutex<VecDeque<Delivered>>>,
    announce: Option<Announce>,
}

/// A mail that has arrived.
#[derive(Clone, Debug, Serialize)]
struct Delivered {
    to: String,
    subject: String,
    code: String,
    at: Timestamp,
}

impl DevMailbox {
    /// An empty mailbox. `announce` is called with each address and code as they arrive.
    pub fn new(clock: Clock, announce: Option<Announce>) -> Self {
        Self { clock, mails: Arc::default(), announce }
    }

    /// The newest code that was sent to `address`.
    pub fn code_for(&self, address: &str) -> Option<String> {
        self.mails().iter().find(|mail| mail.to == address).map(|mail| mail.code.clone())
    }

    /// How many mails have arrived; at most the 200 that are kept.
    pub fn len(&self) -> usize {
        self.mails().len()
    }

    /// Whether nothing has arrived yet.
    pub fn is_empty(&self) -> bool {
        self.mails().is_empty()
    }

    pub(crate) fn routes(self) -> Router {
        Router::new().route("/local/inbox", get(read)).with_state(self)
    }

    fn mails(&self) -> MutexGuard<'_, VecDeque<Delivered>> {
        self.mails.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Mailer for DevMailbox {
    fn send(
        &self,
        mail: LoginMail,
    ) -> Pin<Box<dyn Future<Output = Result<(), BoxError>> + Send + '_>> {
        let delivered = Delivered {
            to: mail.to.as_str().to_owned(),
            subject: mail.subject(),
            code: mail.code.as_str().to_owned(),
            at: self.clock.now(),
        };
        if let Some(announce) = self.announce {
            announce(&delivered.to, &delivered.code);
        }
        let mut mails = self.mails();
        mails.push_front(delivered);
        mails.truncate(KEPT);
        Box::pin(std::future::ready(Ok(())))
    }
}

/// Lists the mails: as HTML, or as JSON where `accept` asks for it.
async fn read(State(inbox): State<DevMailbox>, headers: HeaderMap) -> Response {
    let accept = headers.get(header::ACCEPT).and_then(|accept| accept.to_str().ok()).unwrap_or("");
    let mails: Vec<Delivered> = inbox.mails().iter().cloned().collect();
    if accept.contains("application/json") {
        return Json(mails).into_response();
    }
    Html(page(&mails)).into_response()
}

/// Renders the mails. Escapes only `&` and `'`: `Email::parse` accepts no other character that HTML treats
/// specially.
fn page(mails: &[Delivered]) -> String {
    let mut rows = String::new();
    for mail in mails {
        let to = mail.to.replace('&', "&amp;").replace('\'', "&#39;");
        let _ = write!(rows, "<tr><td><code>{}</code><td>{to}<td>{}", mail.code, mail.at);
    }
    if mails.is_empty() {
        rows.push_str("<tr><td colspan=3>Nothing yet: ask for a code, and it will be here.");
    }
    include_str!("inbox.html").replace("{rows}", &rows)
}
