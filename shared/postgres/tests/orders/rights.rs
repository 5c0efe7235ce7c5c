//! What each of the application's roles may do to the tables of money, and that the server refuses all else.
//!
//! Tables, columns and rights are read from the catalogue: a table that is added, or a right that is granted, fails here.

use testkit::TestStack;
use tokio_postgres::Client;
use tokio_postgres::error::SqlState;

use crate::setup::{fulfil, ordered, paid};

const RIGHTS: &str = "
    select c.relname::text,
           concat_ws(', ',
             (select 'select' || case when bool_and(has_column_privilege($1, c.oid, attnum, 'select')) then ''
                       else format('(%s)', string_agg(attname, ' ' order by attnum)
                              filter (where has_column_privilege($1, c.oid, attnum, 'select'))) end
                from pg_attribute where attrelid = c.oid and attnum > 0
              having bool_or(has_column_privilege($1, c.oid, attnum, 'select'))),
             (select 'insert' || case when bool_and(has_column_privilege($1, c.oid, attnum, 'insert')) then ''
                       else format('(%s)', string_agg(attname, ' ' order by attnum)
                              filter (where has_column_privilege($1, c.oid, attnum, 'insert'))) end
                from pg_attribute where attrelid = c.oid and attnum > 0
              having bool_or(has_column_privilege($1, c.oid, attnum, 'insert'))),
             (select 'update' || case when bool_and(has_column_privilege($1, c.oid, attnum, 'update')) then ''
                       else format('(%s)', string_agg(attname, ' ' order by attnum)
                              filter (where has_column_privilege($1, c.oid, attnum, 'update'))) end
                from pg_attribute where attrelid = c.oid and attnum > 0
              having bool_or(has_column_privilege($1, c.oid, attnum, 'update'))),
             case when has_table_privilege($1, c.oid, 'delete') then 'delete' end,
             case when has_table_privilege($1, c.oid, 'truncate') then 'truncate' end,
             case when has_table_privilege($1, c.oid, 'references') then 'references' end,
             case when has_table_privilege($1, c.oid, 'trigger') then 'trigger' end)
      from pg_class c
     where c.relkind in ('r', 'p', 'v', 'm')
       and c.relnamespace = 'public'::regnamespace
     order by 1";

/// A role's rights, a line for each table that it has some of.
async fn rights(owner: &Client, role: &str) -> Vec<(String, String)> {
    let rows = owner.query(RIGHTS, &[&role]).await.unwrap();
    rows.iter().map(|row| (row.get(0), row.get(1))).collect()
}

fn granted(rights: &[(String, String)], of: impl Fn(&str) -> bool) -> Vec<String> {
    let lines = rights.iter().filter(|(table, rights)| of(table) && !rights.is_empty());
    lines.map(|(table, rights)| format!("{table}: {rights}")).collect()
}

fn is_of_money(table: &str) -> bool {
    ["audit_log", "billing_contacts", "entitlements", "orders", "payments", "refunds"]
        .contains(&table)
}

#[tokio::test]
async fn the_role_of_payments_has_what_fulfilment_needs_and_nothing_else() {
    let stack = TestStack::start().await;
    let rights = rights(&stack.owner().await, "app_money").await;
    assert_eq!(
        granted(&rights, |_| true),
        [
            "audit_log: insert",
            "billing_contacts: select(payer user_id), update(user_id)",
            "entitlements: select(user_id plan starts_at ends_at revoked_at), \
             insert(id user_id plan credits starts_at ends_at order_id)",
            "orders: select, update(state payment_session paid_at check_at reported_paid_at)",
            "payments: select, insert, update(status result order_amount currency amount made_at recorded_at)",
            "refunds: select, insert, update(status amount currency made_at recorded_at)",
        ]
    );
}

#[tokio::test]
async fn a_users_request_writes_neither_payments_nor_refunds_nor_entitlements() {
    let stack = TestStack::start().await;
    let rights = rights(&stack.owner().await, "app_user").await;
    assert_eq!(
        granted(&rights, is_of_money),
        [
            "audit_log: insert",
            "billing_contacts: select, insert, update(phone)",
            "entitlements: select",
            "orders: select, insert, update(state payment_session idempotency_key asked_at reported_paid_at)",
            "payments: select",
            "refunds: select",
        ]
    );
}

#[tokio::test]
async fn a_job_has_the_same_rights_to_the_tables_of_money_as_the_role_of_payments() {
    let stack = TestStack::start().await;
    let owner = stack.owner().await;
    let (job, money) = (rights(&owner, "app_job").await, rights(&owner, "app_money").await);
    assert_eq!(granted(&job, is_of_money), granted(&money, is_of_money));
}

/// Each table, each column, each kind of statement.
#[tokio::test]
async fn a_statement_beyond_a_roles_rights_is_refused() {
    let stack = TestStack::start().await;
    let owner = stack.owner().await;
    let columns = "
        select relname::text, attname::text,
               has_column_privilege($1, c.oid, attnum, 'select'), has_column_privilege($1, c.oid, attnum, 'insert'),
               has_column_privilege($1, c.oid, attnum, 'update'), attidentity = 'a'
          from pg_class c join pg_attribute on attrelid = c.oid
         where relkind in ('r', 'p') and relnamespace = 'public'::regnamespace and attnum > 0 and not attisdropped";
    let tables = "
        select relname::text, has_table_privilege($1, oid, 'delete'), has_table_privilege($1, oid, 'truncate')
          from pg_class where relkind in ('r', 'p') and relnamespace = 'public'::regnamespace";
    for (role, client) in
        [("app_user", stack.app_role().await), ("app_money", stack.money_role().await)]
    {
        let mut refused = 0;
        let mut assert_refused = async |sql: String| {
            let error = client.execute(&sql, &[]).await.unwrap_err();
            assert_eq!(
                error.code(),
                Some(&SqlState::INSUFFICIENT_PRIVILEGE),
                "{role}: {sql}: {error}"
            );
            refused += 1;
        };
        for row in owner.query(columns, &[&role]).await.unwrap() {
            let (table, column): (String, String) = (row.get(0), row.get(1));
            if !row.get::<_, bool>(2) {
                assert_refused(format!("select {column} from {table}")).await;
            }
            if !row.get::<_, bool>(3) && !row.get::<_, bool>(5) {
                assert_refused(format!("insert into {table} ({column}) values (default)")).await;
            }
            if !row.get::<_, bool>(4) {
                assert_refused(format!("update {table} set {column} = default")).await;
            }
        }
        for row in owner.query(tables, &[&role]).await.unwrap() {
            let table: String = row.get(0);
            if !row.get::<_, bool>(1) {
                assert_refused(format!("delete from {table}")).await;
            }
            if !row.get::<_, bool>(2) {
                assert_refused(format!("truncate {table} cascade")).await;
            }
        }
        assert!(refused > 100, "{role}: {refused}");
    }
}

/// The source of a well-known fault: an order that is called paid and was never fulfilled.
#[tokio::test]
async fn a_users_request_can_neither_make_a_paid_order_nor_call_one_paid_or_unpaid() {
    let stack = TestStack::start().await;
    let ada = stack.session("ada@example.com").await;
    let order = ordered(&stack, &ada, "premium").await;
    let client = stack.app_role().await;
    let enter = format!("set app.user_id = '{}'", ada.user);
    client.batch_execute(&enter).await.unwrap();
    let refused = async |sql: &str| {
        let error = client.batch_execute(sql).await.unwrap_err();
        assert_eq!(error.code(), Some(&SqlState::INSUFFICIENT_PRIVILEGE), "{sql}: {error}");
    };
    refused("update orders set state = 'paid'").await;
    refused("update orders set paid_at = now()").await;
    refused(
        "insert into orders (id, user_id, payer, plan, price_paise, days, credits, mode, state, created_at, expires_at, paid_at)
         select gen_random_uuid(), user_id, payer, plan, 100, 366, 1000000, mode, 'paid', now(), now(), now() from orders",
    )
    .await;
    fulfil(&stack, &paid(order, "1")).await;
    let reopened = client.execute("update orders set state = 'active'", &[]).await.unwrap();
    assert_eq!(reopened, 0);
}
