//! Captures the log: at the deployed level, and everything from this workspace's crates.

use std::sync::{Arc, Mutex};
use std::{fs, io};

use testkit::repository;
use tracing_subscriber::fmt::format::FmtSpan;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{EnvFilter, fmt};

/// The log of this process.
#[derive(Clone, Default)]
pub(crate) struct Log(Arc<Mutex<Vec<u8>>>);

impl io::Write for Log {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().write(line)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Log {
    /// Captures every line from now on. The subscriber is global: each test has a process of its own here.
    pub(crate) fn begin() -> Self {
        let lines = Self::default();
        let writer = lines.clone();
        let log = fmt::layer()
            .json()
            .with_span_list(true)
            .with_span_events(FmtSpan::FULL)
            .with_writer(move || writer.clone());
        tracing_subscriber::registry().with(log).with(EnvFilter::new(filter())).init();
        tracing::trace!(target: "shared_core", "trace of a probe");
        lines
    }

    pub(crate) fn text(&self) -> String {
        String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
    }
}

/// `info`, as deployed; `otel` is the target of exported spans. S3, which logs what it is asked, is no part of the product.
fn filter() -> String {
    let functions = fs::read_dir(repository().join("functions")).unwrap();
    let functions = functions.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let ours = ["shared", "local", "otel"].map(str::to_owned).into_iter().chain(functions);
    ours.fold("info,s3s=off,s3s_fs=off".to_owned(), |filter, name| {
        filter + "," + &name.replace('-', "_") + "=trace"
    })
}
