//! Dumps of all that Postgres, Valkey and DynamoDB hold of one test.

use std::fmt::Write;

use redis::Value;
use redis::aio::MultiplexedConnection;
use testkit::TestStack;

use crate::planted::hex;

/// The dumps of every snapshot, one after the other.
#[derive(Default)]
pub(crate) struct AtRest {
    pub(crate) postgres: String,
    pub(crate) valkey: String,
    pub(crate) dynamodb: String,
}

impl AtRest {
    /// Appends a snapshot of the present state.
    pub(crate) async fn look(&mut self, stack: &TestStack) {
        self.postgres.push_str(&postgres(stack).await);
        self.valkey.push_str(&valkey(stack).await);
        self.dynamodb.push_str(&stack.dynamodb.contents().unwrap());
    }
}

/// Every row of every table as text, with `bytea` in hex, and the statements in `pg_stat_activity`.
async fn postgres(stack: &TestStack) -> String {
    let owner = stack.owner().await;
    let tables = "select format('%I.%I', schemaname, tablename) from pg_tables
                   where schemaname not in ('pg_catalog', 'information_schema')
                   union all
                  select '(select query from pg_stat_activity where datname = current_database())'";
    let mut dump = String::new();
    for table in owner.query(tables, &[]).await.unwrap() {
        let table: String = table.get(0);
        for row in owner.query(&format!("select t::text from {table} t"), &[]).await.unwrap() {
            dump.extend([table.as_str(), " ", row.get(0), "\n"]);
        }
    }
    dump
}

/// Every key of the test with its value, whatever its type.
async fn valkey(stack: &TestStack) -> String {
    let env = stack.env();
    let (url, prefix) = (env.required("CACHE_URL").unwrap(), env.required("CACHE_PREFIX").unwrap());
    let client = redis::Client::open(url).unwrap();
    let mut connection = client.get_multiplexed_async_connection().await.unwrap();
    // Filters by prefix: the server is shared with all tests.
    let mut scan = redis::cmd("SCAN");
    scan.cursor_arg(0).arg("MATCH").arg(format!("{prefix}*")).arg("COUNT").arg(10_000);
    let mut scan = scan.iter_async::<Vec<u8>>(&mut connection).await.unwrap();
    let mut keys = Vec::new();
    while let Some(key) = scan.next_item().await {
        keys.push(key.unwrap());
    }
    drop(scan);
    let mut dump = String::new();
    for key in keys {
        dump += &readable(&key);
        write_down(&under(&mut connection, &key).await, &mut dump);
        dump.push('\n');
    }
    dump
}

async fn under(connection: &mut MultiplexedConnection, key: &[u8]) -> Value {
    let kind: String = redis::cmd("TYPE").arg(key).query_async(connection).await.unwrap();
    let read = match kind.as_str() {
        "string" => "GET",
        "hash" => "HGETALL",
        "list" => "LRANGE 0 -1",
        "set" => "SMEMBERS",
        "zset" => "ZRANGE 0 -1 WITHSCORES",
        "stream" => "XRANGE - +",
        // Expired since it was listed.
        "none" => return Value::Nil,
        other => unreachable!("a new kind of value: {other}"),
    };
    let mut words = read.split(' ');
    let mut command = redis::cmd(words.next().unwrap());
    command.arg(key);
    for word in words {
        command.arg(word);
    }
    command.query_async(connection).await.unwrap()
}

fn write_down(value: &Value, dump: &mut String) {
    if let Value::BulkString(bytes) = value {
        *dump += &readable(bytes);
    } else if let Value::Array(values) = value {
        for value in values {
            write_down(value, dump);
        }
    } else {
        write!(dump, " {value:?}").unwrap();
    }
}

/// Bytes that may be text, or not.
fn readable(bytes: &[u8]) -> String {
    format!(" {} {}", String::from_utf8_lossy(bytes), hex(bytes))
}
