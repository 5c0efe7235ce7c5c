//! A local S3: [s3s], which verifies signatures, over [s3s-fs], which stores files, on a loopback port, with the
//! bucket that `infra/data.yaml` deploys. It is used through AWS's own SDK and presigned URLs, path-style, so that
//! signatures, conditions, versions and the wire are as in production.
//!
//! What `infra/data.yaml` says of the bucket `Uploads` is enforced: its CORS rules, for the origins that are given
//! instead of the parameter `AppOrigin`, what its policy denies, and its versioning. A rule there that this crate does
//! not know is an error at the start.
//!
//! It differs from S3 in that
//!
//! - whoever has the keys may do everything that the policy does not deny: the functions' IAM policies are not known
//!   here. A missing key is `NoSuchKey` (404) for everyone, also for whom S3 answers `AccessDenied` (403) because they
//!   may not list the bucket;
//! - nothing expires by the lifecycle rules, and nothing is encrypted or logged;
//! - signatures are verified by the machine's clock, also where a test moves the product's, and for any region;
//! - a condition on `aws:SecureTransport` takes the loopback connection for a secure one;
//! - only the operations of [`Operation`] exist: no multipart uploads, no `ListObjects`, no tags. Deletions on
//!   conditions and lists with a delimiter or an encoding are refused as well (501);
//! - tags, storage classes, ACLs and encryption that a write asks for, and conditions of a read on dates, are accepted
//!   and ignored;
//! - S3's limits for rates, sizes, metadata and the expiry of a presigned URL (seven days) do not exist;
//! - a preflight is answered for any path, and a body is read, into memory, before its request is refused or executed.
//!
//! [s3s]: https://crates.io/crates/s3s
//! [s3s-fs]: https://crates.io/crates/s3s-fs

mod cors;
mod operations;
mod policy;
mod requests;
mod server;
mod signature;
mod store;
mod template;
mod versions;

use std::fmt;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use s3s::S3Error;
use s3s::service::S3ServiceBuilder;
use tokio::net::TcpListener;
use tokio::sync::Mutex;

use crate::cors::Cors;
use crate::operations::Api;
use crate::policy::Policy;
use crate::requests::Requests;
pub use crate::requests::{Operation, Request};
use crate::server::{Server, Serving};
use crate::signature::KeyPair;
use crate::store::Store;
use crate::template::Template;

/// The name of the bucket.
pub const BUCKET: &str = "uploads";

// Those of the local DynamoDB: a function has one region and one key pair for all services.
const REGION: &str = "ap-south-1";
const ACCESS_KEY_ID: &str = "AKIATESTTESTTESTTEST";
const SECRET_ACCESS_KEY: &str = "test";

/// A running S3. It stops when this is dropped.
pub struct LocalS3 {
    address: SocketAddr,
    store: Arc<Store>,
    server: Arc<Server>,
    serving: Mutex<Option<Serving>>,
    /// Only to be dropped.
    _temporary: Option<TemporaryDirectory>,
}

/// Why it cannot start.
#[derive(Debug, thiserror::Error)]
pub enum LocalS3Error {
    /// The port is not free, or the directory cannot be used.
    #[error("S3's stand-in cannot start: {0}")]
    Io(#[from] io::Error),
    /// `infra/data.yaml` cannot be parsed.
    #[error("infra/data.yaml has no bucket to make: {0}")]
    Template(#[from] serde_norway::Error),
    /// `infra/data.yaml` has a rule that the stand-in does not enforce.
    #[error("S3's stand-in does not know {0}, which infra/data.yaml has")]
    Rule(String),
    /// The file that names the versions of each key is damaged.
    #[error("S3's stand-in cannot read its data: {0}")]
    Versions(#[from] serde_json::Error),
    /// The directory of objects cannot be used.
    #[error("S3's stand-in cannot use its data: {0}")]
    Storage(String),
}

impl LocalS3 {
    /// Starts one on a free port whose data is deleted when it is dropped. Pages of `origins` may upload.
    pub async fn start(origins: &[&str]) -> Result<Self, LocalS3Error> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let temporary = TemporaryDirectory::create()?;
        let started = Self::serving(listener, &temporary.0, origins)?;
        Ok(Self { _temporary: Some(temporary), ..started })
    }

    /// Starts one on `address` that persists its data in `directory`, which is created if missing and may hold the data
    /// of an earlier one. Pages of `origins` may upload.
    pub async fn keeping(
        directory: &Path,
        address: SocketAddr,
        origins: &[&str],
    ) -> Result<Self, LocalS3Error> {
        Self::serving(TcpListener::bind(address).await?, directory, origins)
    }

    fn serving(
        listener: TcpListener,
        directory: &Path,
        origins: &[&str],
    ) -> Result<Self, LocalS3Error> {
        let Template { cors, policy } = Template::read(origins)?;
        let store = Arc::new(Store::open(directory)?);
        let mut s3 = S3ServiceBuilder::new(Api(Arc::clone(&store)));
        s3.set_auth(KeyPair);
        s3.set_access(Policy(policy));
        let requests = Requests::default();
        let server = Arc::new(Server { s3: s3.build(), cors: Cors(cors), requests });
        let address = listener.local_addr()?;
        let serving = Mutex::new(Some(Serving::begin(listener, Arc::clone(&server))));
        Ok(Self { address, store, server, serving, _temporary: None })
    }

    /// The endpoint: `AWS_ENDPOINT_URL_S3`.
    pub fn url(&self) -> String {
        url(self.address)
    }

    /// The environment variables of functions: made-up credentials, the endpoint and the bucket.
    pub fn variables(&self) -> [(&'static str, String); 5] {
        Self::variables_at(self.address)
    }

    /// The same for one that listens on `address` in another process.
    pub fn variables_at(address: SocketAddr) -> [(&'static str, String); 5] {
        [
            ("AWS_REGION", REGION.to_owned()),
            ("AWS_ACCESS_KEY_ID", ACCESS_KEY_ID.to_owned()),
            ("AWS_SECRET_ACCESS_KEY", SECRET_ACCESS_KEY.to_owned()),
            ("AWS_ENDPOINT_URL_S3", url(address)),
            ("UPLOADS_BUCKET", BUCKET.to_owned()),
        ]
    }

    /// The keys that have a current object, in order.
    pub fn keys(&self) -> Vec<String> {
        self.store.versions().current_keys()
    }

    /// Number of versions of keys that start with `prefix`: objects, current or not, and delete markers.
    pub fn all_versions(&self, prefix: &str) -> usize {
        self.store.versions().page(prefix, None, usize::MAX).entries.len()
    }

    /// The bytes and the type of a key's current object.
    pub async fn object(&self, key: &str) -> Option<(Bytes, String)> {
        self.store.object(key).await
    }

    /// Stores an object, as a new version if the key has one.
    pub async fn put(
        &self,
        key: &str,
        bytes: impl Into<Bytes>,
        content_type: &str,
    ) -> Result<(), S3Error> {
        self.store.put_object(key, bytes.into(), content_type).await
    }

    /// The requests that have arrived, oldest first, including those that were refused or hang.
    pub fn requests(&self) -> Vec<Request> {
        self.server.requests.log()
    }

    /// Forgets the requests so far.
    pub fn clear_requests(&self) {
        self.server.requests.clear();
    }

    /// Answers this many requests. All later ones are neither executed nor answered, until [`LocalS3::resume`].
    pub fn hang_after(&self, requests: usize) {
        self.server.requests.hang_after(Some(requests));
    }

    /// Answers requests again, but not those that hang already.
    pub fn resume(&self) {
        self.server.requests.hang_after(None);
    }

    /// Answers this many requests. The next one is executed, but its connection closed without the response.
    pub fn lose_response_after(&self, requests: usize) {
        self.server.requests.lose_response_after(requests);
    }

    /// Stops serving, and closes all connections at once. The data stays.
    pub async fn stop(&self) {
        if let Some(serving) = self.serving.lock().await.take() {
            serving.end().await;
        }
    }

    /// Serves again, on the same port.
    pub async fn start_again(&self) -> io::Result<()> {
        let mut serving = self.serving.lock().await;
        if serving.is_none() {
            let listener = TcpListener::bind(self.address).await?;
            *serving = Some(Serving::begin(listener, Arc::clone(&self.server)));
        }
        Ok(())
    }
}

fn url(address: SocketAddr) -> String {
    format!("http://{address}")
}

impl fmt::Debug for LocalS3 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LocalS3").field("address", &self.address).finish_non_exhaustive()
    }
}

/// Deleted when dropped.
struct TemporaryDirectory(PathBuf);

impl TemporaryDirectory {
    /// Empties a directory that a killed process with the same id left.
    fn create() -> io::Result<Self> {
        static CREATED: AtomicUsize = AtomicUsize::new(0);
        let number = CREATED.fetch_add(1, Ordering::Relaxed);
        let path = std::env::temp_dir().join(format!("local-s3-{}-{number}", std::process::id()));
        match std::fs::remove_dir_all(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        std::fs::create_dir_all(&path)?;
        Ok(Self(path))
    }
}

impl Drop for TemporaryDirectory {
    fn drop(&mut self) {
        // The system empties its temporary directory in the end.
        let _ = std::fs::remove_dir_all(&self.0);
    }
}
