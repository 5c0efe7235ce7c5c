//! Detects destructive migrations: those that may lose stored data.

/// Statements that lose data, or may. Within a function's body they run later, if ever; a migration with such a
/// function is marked with [`KEEPS_DATA`].
const LOSING: [&str; 9] = [
    "drop table",
    "drop schema",
    "drop database",
    "drop owned",
    "drop materialized view",
    "truncate ",
    "delete from",
    "update ",
    " cascade",
];
/// What `alter table … drop …` may drop without losing a value. `column` is optional in SQL, so anything else is a
/// column.
const DROPPED_WITHOUT_LOSS: [&str; 5] =
    ["drop constraint ", "drop default", "drop not null", "drop identity", "drop expression"];

/// Marks a migration that looks destructive, but loses nothing: its author has checked that.
const KEEPS_DATA: &str = "-- keeps data:";

/// Whether a migration may lose stored data.
pub(crate) fn is_destructive(sql: &str) -> bool {
    if sql.lines().any(|line| line.starts_with(KEEPS_DATA)) {
        return false;
    }
    let code = sql.lines().map(|line| line.split_once("--").map_or(line, |(code, _)| code));
    let words: Vec<_> = code.flat_map(str::split_whitespace).map(str::to_lowercase).collect();
    words.join(" ").split(';').any(|statement| loses(statement.trim()))
}

/// Whether one statement may lose data. It is in lower case, with one space between words.
fn loses(statement: &str) -> bool {
    // Referential actions (`on delete …`) act on rows later, and are no part of the migration.
    let statement = ["on delete cascade", "on update cascade", "for update"]
        .iter()
        .fold(statement.to_owned(), |statement, later| statement.replace(later, ""));
    if statement.starts_with("alter table") {
        let drops = statement.match_indices(" drop ").any(|(at, _)| {
            let dropped = &statement[at + 1..];
            !DROPPED_WITHOUT_LOSS.iter().any(|harmless| dropped.starts_with(harmless))
        });
        // A new type rewrites values, and a narrower one truncates them.
        let retypes = statement.contains(" set data type ")
            || (statement.contains(" alter ") && statement.contains(" type "));
        return drops || retypes || statement.ends_with(" cascade");
    }
    let only_adds = ["create table", "create index", "create policy", "grant ", "create trigger"];
    if only_adds.iter().any(|begins| statement.starts_with(begins)) {
        return false;
    }
    LOSING.iter().any(|losing| statement.contains(losing))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_statement_that_loses_rows_or_columns_is_destructive() {
        for sql in [
            "drop table messages",
            "DROP\n  TABLE messages;",
            "alter table chats drop column title;",
            "alter table chats drop title",
            "alter table chats drop constraint a, drop title",
            "alter table chats alter column title type varchar(10)",
            "alter table chats alter title set data type varchar(10)",
            "select 1; delete from chats where title = ''",
            "truncate chats",
            "update chats set title = ''",
            "drop type mood cascade",
            "drop extension pg_trgm cascade",
        ] {
            assert!(is_destructive(sql), "{sql}");
        }
    }

    #[test]
    fn a_statement_that_only_adds_is_not_destructive() {
        for sql in [
            "create table a (id uuid references users (id) on delete cascade, truncated boolean)",
            "alter table chats add column pinned boolean not null default false;",
            "alter table chats alter column title drop not null, drop constraint chats_title",
            "alter table a add constraint b foreign key (c) references d on delete cascade",
            "-- drop table chats;\ncreate index a on b (c)",
            "-- keeps data: the body of a function\ncreate function f() … delete from chats …",
            "alter table chats alter column title set default ''; create type mood as enum ('a')",
            "grant select, update on chats to app_job",
        ] {
            assert!(!is_destructive(sql), "{sql}");
        }
    }
}
