//! One pair of servers for all tests of a checkout.

use tokio::sync::OnceCell;

use crate::blocking::{blocking, both};
use crate::home::Home;
use crate::ports::free_port;
use crate::postgres::Postgres;
use crate::process;
use crate::server::{Data, Server};
use crate::valkey::Valkey;
use crate::{StackError, private, settings};

/// The servers that all tests of a checkout share, across processes.
///
/// The first test that needs them starts them, and they keep running for later ones until
/// [`stop_test_servers`]. Data is kept apart by [`TestDatabase`](crate::TestDatabase) and
/// [`TestCache`](crate::TestCache).
pub struct TestServers {
    postgres_port: u16,
    cache_port: u16,
}

/// How one of the two is found and started.
struct Kind {
    /// Its directory in the home.
    name: &'static str,
    /// The flag of its command line in front of its port.
    port_flag: &'static str,
    /// Its preferred port; another checkout's tests may have taken it.
    port: u16,
    make: fn(&Home, u16) -> Result<Server, StackError>,
}

const POSTGRES: Kind =
    Kind { name: "postgres", port_flag: "-p", port: 25433, make: Home::postgres };

const VALKEY: Kind = Kind { name: "valkey", port_flag: "--port", port: 26380, make: Home::valkey };

impl TestServers {
    /// Returns the servers, and starts them if they do not run.
    ///
    /// # Panics
    /// If they cannot be started: no test that needs them can go on.
    pub async fn shared() -> &'static Self {
        static SHARED: OnceCell<TestServers> = OnceCell::const_new();
        let servers = SHARED.get_or_try_init(|| blocking(Self::found_or_started));
        or_panic(servers.await)
    }

    /// The URL of a database for a role.
    pub(crate) fn database_url(&self, role: &str, database: &str) -> String {
        Postgres::url(role, self.postgres_port, database)
    }

    /// The URL of the cache.
    pub fn cache_url(&self) -> String {
        Valkey::url(self.cache_port)
    }

    fn found_or_started() -> Result<Self, StackError> {
        let home = home()?;
        let _lock = home.lock_in_turn()?;
        let (postgres, valkey) = both(|| POSTGRES.port(&home), || VALKEY.port(&home));
        Ok(Self { postgres_port: postgres?, cache_port: valkey? })
    }
}

impl Kind {
    /// The port of the running server, or of a new one.
    fn port(&self, home: &Home) -> Result<u16, StackError> {
        if let Some(port) = self.adopted(home) {
            return Ok(port);
        }
        match self.started(home) {
            // Data of another version, or incomplete after a full disk: test data is disposable.
            Err(StackError::Ended { .. }) => {
                home.remove_data(self.name)?;
                self.started(home)
            }
            started => started,
        }
    }

    fn adopted(&self, home: &Home) -> Option<u16> {
        let found = process::working_in(&home.data(self.name));
        let found = found.iter().find(|found| found.leads)?;
        let port = found.argument(self.port_flag)?.parse().ok()?;
        let server = (self.make)(home, port).ok()?;
        // The process that started it may have been killed before it was ready.
        server.adopt(found.number()).ok()?;
        Some(port)
    }

    fn started(&self, home: &Home) -> Result<u16, StackError> {
        // Ended here and not only by the start, so that its port counts as free.
        home.end(self.name)?;
        match self.start(home, self.port) {
            Err(StackError::PortTaken { .. }) => self.start(home, free_port()?),
            started => started,
        }
    }

    fn start(&self, home: &Home, port: u16) -> Result<u16, StackError> {
        let server = (self.make)(home, port)?;
        server.start_here()?;
        server.release();
        Ok(port)
    }
}

/// Ends the servers of [`TestServers::shared`] and those that killed tests left behind, as at the end of
/// `make test`, and removes their data, some of which may lie in memory.
pub async fn stop_test_servers() -> Result<(), StackError> {
    blocking(|| {
        private::sweep(&settings::local_dir_of_this_process()?)?;
        let home = home()?;
        let _lock = home.lock_in_turn()?;
        home.end_all()?;
        home.remove()
    })
    .await
}

pub(crate) fn home() -> Result<Home, StackError> {
    let local_dir = settings::local_dir_of_this_process()?;
    Ok(Home::new(&local_dir, "test", Data::Disposable))
}

/// Unwraps, or fails the test.
#[expect(clippy::panic, reason = "only tests come here, and this is how a test fails")]
pub(crate) fn or_panic<T>(result: Result<T, StackError>) -> T {
    match result {
        Ok(value) => value,
        Err(error) => panic!("{error}"),
    }
}
