//! A user's request: every transaction begins by entering the user's session.

use std::time::Duration;

use deadpool_postgres::Object;
use futures_util::future::{join_all, try_join_all};
use jiff::Timestamp;
use shared_core::identity::Session;
use tokio_postgres::types::ToSql;
use tokio_postgres::{Row, Statement};

use crate::Database;
use crate::error::DatabaseError;

/// Idle timeout: a session that was not used for this long has ended.
const IDLE_LIFETIME: Duration = Duration::from_hours(7 * 24);

const ENTER: &str = "select enter_session($1, $2, $3, $4)";

impl Database {
    /// The database for a user's request: each of its transactions enters `session`.
    pub fn request<'a>(&'a self, session: &'a Session, now: Timestamp) -> Request<'a> {
        Request { database: self, session, now }
    }
}

/// The database as one user may see it.
///
/// Its methods are in the files of their subjects: [`Request::user`], [`Request::sessions`], …
#[derive(Clone, Copy, Debug)]
pub struct Request<'a> {
    pub(crate) database: &'a Database,
    pub(crate) session: &'a Session,
    pub(crate) now: Timestamp,
}

impl Request<'_> {
    /// Runs one statement inside the user's session: four messages, one round trip.
    pub(crate) async fn query(
        &self,
        sql: &str,
        params: &[&(dyn ToSql + Sync)],
    ) -> Result<Vec<Row>, DatabaseError> {
        let [rows] = self.query_all([(sql, params)]).await?;
        Ok(rows)
    }

    /// Runs several statements in one transaction, pipelined: one round trip.
    pub(crate) async fn query_all<const N: usize>(
        &self,
        statements: [(&str, &[&(dyn ToSql + Sync)]); N],
    ) -> Result<[Vec<Row>; N], DatabaseError> {
        self.database
            .retrying(|client| async move {
                let sqls = statements.iter().map(|(sql, _)| client.prepare_cached(sql));
                let (enter, prepared) =
                    tokio::try_join!(biased; client.prepare_cached(ENTER), try_join_all(sqls))?;
                let queries = prepared
                    .iter()
                    .zip(statements)
                    .map(|(statement, (_, params))| client.query(statement, params));
                let (begun, entered, results, committed) = tokio::join!(
                    biased;
                    client.batch_execute("begin"),
                    self.enter(&client, &enter),
                    join_all(queries),
                    client.batch_execute("commit"),
                );
                // In the order of sending: the first error is the cause of those after it.
                begun?;
                entered?;
                let rows = results.into_iter().collect::<Result<Vec<_>, _>>()?;
                committed?;
                rows.try_into()
                    .map_err(|_| DatabaseError::unexpected("as many results as statements"))
            })
            .await
    }

    /// Sessions that were last seen before this have timed out.
    pub(crate) fn idle_since(&self) -> Timestamp {
        self.now - IDLE_LIFETIME
    }

    /// Enters the session: the first statement of every transaction.
    async fn enter(
        &self,
        client: &Object,
        enter: &Statement,
    ) -> Result<u64, tokio_postgres::Error> {
        client
            .execute(
                enter,
                &[&self.session.user.0, &self.session.id.0, &self.now, &self.idle_since()],
            )
            .await
    }
}
