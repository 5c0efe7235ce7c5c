//! What was requested, and which requests fail.

use std::sync::{Mutex, MutexGuard, PoisonError};

use http::{HeaderMap, Method, Uri};
use percent_encoding::percent_decode_str;

use crate::BUCKET;

/// A request that arrived, whether or not it was answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    /// Its method.
    pub method: Method,
    /// The key in its path; empty if it concerns the bucket.
    pub key: String,
    /// What it asks for.
    pub operation: Operation,
}

/// An operation of S3's API.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[expect(missing_docs, reason = "they are S3's")]
pub enum Operation {
    PutObject,
    CopyObject,
    GetObject,
    HeadObject,
    DeleteObject,
    DeleteObjects,
    ListObjectVersions,
    /// A browser's question whether it may send another request.
    Preflight,
    /// None of these.
    Other,
}

/// What becomes of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fate {
    Answered,
    /// Neither executed nor answered.
    Hangs,
    /// Executed, and its connection closed without an answer.
    ResponseLost,
}

/// The log, and the faults to come.
#[derive(Debug, Default)]
pub(crate) struct Requests(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    log: Vec<Request>,
    /// Number of requests that are still answered before all others hang.
    hang_after: Option<usize>,
    /// Number of requests that are still answered before the response to one is lost.
    lose_after: Option<usize>,
}

impl Requests {
    pub(crate) fn arrived(&self, method: &Method, uri: &Uri, headers: &HeaderMap) -> Fate {
        let request = Request::of(method, uri, headers);
        let mut state = self.state();
        state.log.push(request);
        match state.hang_after.as_mut() {
            Some(0) => return Fate::Hangs,
            Some(left) => *left -= 1,
            None => {}
        }
        match state.lose_after.take() {
            Some(0) => Fate::ResponseLost,
            Some(left) => {
                state.lose_after = Some(left - 1);
                Fate::Answered
            }
            None => Fate::Answered,
        }
    }

    pub(crate) fn log(&self) -> Vec<Request> {
        self.state().log.clone()
    }

    pub(crate) fn clear(&self) {
        self.state().log.clear();
    }

    pub(crate) fn hang_after(&self, requests: Option<usize>) {
        self.state().hang_after = requests;
    }

    pub(crate) fn lose_response_after(&self, requests: usize) {
        self.state().lose_after = Some(requests);
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Request {
    fn of(method: &Method, uri: &Uri, headers: &HeaderMap) -> Self {
        let path = percent_decode_str(uri.path()).decode_utf8_lossy();
        let in_bucket = path.strip_prefix('/').and_then(|path| path.strip_prefix(BUCKET));
        let key = in_bucket.and_then(|rest| rest.strip_prefix('/')).unwrap_or_default();
        let asks = |name: &str| {
            let mut pairs = form_urlencoded::parse(uri.query().unwrap_or_default().as_bytes());
            pairs.any(|(key, _)| key == name)
        };
        let operation = match (method.as_str(), key.is_empty()) {
            ("OPTIONS", _) => Operation::Preflight,
            ("PUT", false) if headers.contains_key("x-amz-copy-source") => Operation::CopyObject,
            ("PUT", false) => Operation::PutObject,
            ("GET", false) => Operation::GetObject,
            ("HEAD", false) => Operation::HeadObject,
            ("DELETE", false) => Operation::DeleteObject,
            ("POST", true) if asks("delete") => Operation::DeleteObjects,
            ("GET", true) if asks("versions") => Operation::ListObjectVersions,
            _ => Operation::Other,
        };
        Self { method: method.clone(), key: key.to_owned(), operation }
    }
}
