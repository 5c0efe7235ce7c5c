//! A local DynamoDB: [dynoxide], which stores in `SQLite`, on a loopback port, with the table that
//! `infra/data.yaml` deploys.
//!
//! It is used through AWS's own SDK, so that conditions, transactions and the wire are as in production. It
//! checks the form of signatures, not their values. It does not delete items whose `ttl` has passed.
//!
//! [dynoxide]: https://crates.io/crates/dynoxide-rs

use std::fmt;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;

use dynoxide::Database;
use dynoxide::errors::DynoxideError;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::sync::{Mutex, oneshot};
use tokio::task::JoinHandle;

/// The name of the table.
pub const TABLE: &str = "inbox";
const DATA: &str = include_str!("../../../infra/data.yaml");

/// A running DynamoDB. It stops when this is dropped.
pub struct LocalDynamoDb {
    address: SocketAddr,
    database: Database,
    serving: Mutex<Option<Serving>>,
}

/// Why it cannot start.
#[derive(Debug, thiserror::Error)]
pub enum DynamoDbError {
    /// No free port, or the directory cannot be created.
    #[error("DynamoDB's stand-in cannot start: {0}")]
    Io(#[from] io::Error),
    /// The file is damaged or not a database of dynoxide, or the table cannot be created.
    #[error("DynamoDB's stand-in cannot use its data: {0}")]
    Database(#[from] DynoxideError),
    /// The table in `infra/data.yaml` cannot be parsed.
    #[error("infra/data.yaml has no table to make: {0}")]
    Template(#[from] serde_norway::Error),
    /// A request, such as for the table in `infra/data.yaml`, or a response has another form.
    #[error(
        "DynamoDB's stand-in cannot read a request, such as for the table in infra/data.yaml: {0}"
    )]
    Request(#[from] serde_json::Error),
}

impl LocalDynamoDb {
    /// Starts one in memory, on a free port. Its data is lost when it is dropped.
    pub async fn start() -> Result<Self, DynamoDbError> {
        Self::serving(Database::memory()?).await
    }

    /// Serves one in memory on `listener`, until its process ends.
    pub async fn serve(listener: TcpListener) -> Result<(), DynamoDbError> {
        let database = Database::memory()?;
        make_table(&database)?;
        let forever = std::future::pending();
        let served = dynoxide::server::serve_with_shutdown(listener, database, forever).await;
        Ok(served.map_err(io::Error::other)?)
    }

    /// Starts one on a free port that persists its data in `file`, which is created if missing and may hold
    /// the data of an earlier one.
    pub async fn keeping(file: &Path) -> Result<Self, DynamoDbError> {
        if let Some(directory) = file.parent() {
            std::fs::create_dir_all(directory)?;
        }
        Self::serving(Database::new(&file.to_string_lossy())?).await
    }

    async fn serving(database: Database) -> Result<Self, DynamoDbError> {
        make_table(&database)?;
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let address = listener.local_addr()?;
        let serving = Mutex::new(Some(Serving::begin(listener, database.clone())));
        Ok(Self { address, database, serving })
    }

    /// The endpoint: `AWS_ENDPOINT_URL_DYNAMODB`.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The environment variables of the inbox: made-up credentials, the endpoint and the table.
    pub fn variables(&self) -> [(&'static str, String); 5] {
        [
            ("AWS_REGION", "ap-south-1".to_owned()),
            ("AWS_ACCESS_KEY_ID", "AKIATESTTESTTESTTEST".to_owned()),
            ("AWS_SECRET_ACCESS_KEY", "test".to_owned()),
            ("AWS_ENDPOINT_URL_DYNAMODB", self.url()),
            ("INBOX_TABLE", TABLE.to_owned()),
        ]
    }

    /// All that the table holds, up to a mebibyte, in the JSON of DynamoDB's API: binary values are in Base64.
    pub fn contents(&self) -> Result<String, DynamoDbError> {
        let scan = serde_json::from_value(json!({ "TableName": TABLE }))?;
        Ok(serde_json::to_string(&self.database.scan(scan)?)?)
    }

    /// Stops serving, and closes all connections. The data stays.
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
            *serving = Some(Serving::begin(listener, self.database.clone()));
        }
        Ok(())
    }
}

impl fmt::Debug for LocalDynamoDb {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LocalDynamoDb").field("address", &self.address).finish_non_exhaustive()
    }
}

/// The accept loop. Dropping this drops the sender `end`, which ends the loop.
struct Serving {
    end: oneshot::Sender<()>,
    ended: JoinHandle<()>,
}

impl Serving {
    #[expect(clippy::disallowed_methods, reason = "it ends with its handle, which `end` waits for")]
    fn begin(listener: TcpListener, database: Database) -> Self {
        let (end, asked) = oneshot::channel::<()>();
        let ended = tokio::spawn(async {
            let asked = async { drop(asked.await) };
            // Closes idle connections, and lets the others finish.
            let _ = dynoxide::server::serve_with_shutdown(listener, database, asked).await;
        });
        Self { end, ended }
    }

    async fn end(self) {
        drop(self.end);
        // Ignore a panic of the task: it has ended as well.
        let _ = self.ended.await;
    }
}

/// Creates the table as it is deployed, if it is missing.
fn make_table(database: &Database) -> Result<(), DynamoDbError> {
    if database.get_table_metadata(TABLE)?.is_some() {
        return Ok(());
    }
    let template: serde_norway::Value = serde_norway::from_str(DATA)?;
    let deployed = |name: &str| -> Result<Value, serde_json::Error> {
        serde_json::to_value(&template["Resources"]["Inbox"]["Properties"][name])
    };
    database.create_table(serde_json::from_value(json!({
        "TableName": TABLE,
        "BillingMode": deployed("BillingMode")?,
        "AttributeDefinitions": deployed("AttributeDefinitions")?,
        "KeySchema": deployed("KeySchema")?,
    }))?)?;
    database.update_time_to_live(serde_json::from_value(json!({
        "TableName": TABLE,
        "TimeToLiveSpecification": deployed("TimeToLiveSpecification")?,
    }))?)?;
    Ok(())
}
