//! DynamoDB on one machine: [dynoxide], which stores in `SQLite`, on a loopback port, with the table that
//! `infra/data.yaml` deploys.
//!
//! It is reached through AWS's own SDK, so that conditions, transactions and the wire are as they are in
//! production. It checks the form of signatures and not their values. What it does not do is remove
//! items whose `ttl` has passed.
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
const TABLE: &str = "inbox";
const DATA: &str = include_str!("../../../infra/data.yaml");

/// A running DynamoDB. It stops when this is dropped.
pub struct LocalDynamoDb {
    address: SocketAddr,
    database: Database,
    serving: Mutex<Option<Serving>>,
}

/// Why there is none.
#[derive(Debug, thiserror::Error)]
pub enum DynamoDbError {
    /// There is no port for it, or no directory.
    #[error("DynamoDB's stand-in cannot start: {0}")]
    Io(#[from] io::Error),
    /// The file is none of its own, or is damaged; or the table cannot be made.
    #[error("DynamoDB's stand-in cannot use its data: {0}")]
    Database(#[from] DynoxideError),
    /// What `infra/data.yaml` says of the table cannot be read.
    #[error("infra/data.yaml has no table to make: {0}")]
    Template(#[from] serde_norway::Error),
    /// The same, as a request.
    #[error("infra/data.yaml has no table that can be made: {0}")]
    Request(#[from] serde_json::Error),
}

impl LocalDynamoDb {
    /// Starts one on a free port. It forgets everything when it is dropped.
    pub async fn start() -> Result<Self, DynamoDbError> {
        Self::serving(Database::memory()?).await
    }

    /// Starts one on a free port that keeps its data in `file`, which is made where it is missing, and finds
    /// there what an earlier one has kept.
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

    /// Where it listens: `AWS_ENDPOINT_URL_DYNAMODB`.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The variables with which the inbox is found here: an account's, whose values are made up, and the
    /// table's.
    pub fn variables(&self) -> [(&'static str, String); 5] {
        [
            ("AWS_REGION", "ap-south-1".to_owned()),
            ("AWS_ACCESS_KEY_ID", "AKIATESTTESTTESTTEST".to_owned()),
            ("AWS_SECRET_ACCESS_KEY", "test".to_owned()),
            ("AWS_ENDPOINT_URL_DYNAMODB", self.url()),
            ("INBOX_TABLE", TABLE.to_owned()),
        ]
    }

    /// Lets nobody reach it, whoever is connected included. Its data stays.
    pub async fn stop(&self) {
        if let Some(serving) = self.serving.lock().await.take() {
            serving.end().await;
        }
    }

    /// Lets it be reached again, on the same port.
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

/// The accept loop. It ends when this is dropped, as nobody holds the other end of `end` then.
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
            // Closes the connections that are idle, and lets the others come to their end.
            let _ = dynoxide::server::serve_with_shutdown(listener, database, asked).await;
        });
        Self { end, ended }
    }

    async fn end(self) {
        drop(self.end);
        // A panic of its own has ended it as well.
        let _ = self.ended.await;
    }
}

/// Makes the table as it is deployed, if it is not there yet.
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
