//! What is written about the API and its configuration is what the code does.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test stops where it breaks")]

use std::collections::{BTreeSet, HashMap};
use std::fs;
use std::path::Path;

use chat_stream::ChatConfig;
use local_stack::Settings;
use shared_cache::{CacheConfig, Pepper};
use shared_core::catalogue::ModelTable;
use shared_core::env::Env;
use shared_http::{EdgeConfig, ErrorCode, SessionKeys};
use shared_openrouter::OpenRouterConfig;
use shared_postgres::DatabaseConfig;

fn read(path: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(path);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

#[test]
fn the_openapi_document_is_the_codes() {
    let document = local::openapi().to_pretty_json().unwrap();
    assert!(read("docs/openapi.json").trim() == document.trim(), "run `make openapi`");
}

#[test]
fn the_errors_page_is_the_codes() {
    assert!(read("docs/errors.md") == local::errors_page(), "run `make openapi`");
}

#[test]
fn every_error_code_is_named_by_a_route_or_is_common_to_all() {
    let document = local::openapi();
    let everywhere = document.info.description.clone().unwrap_or_default();
    let routes = serde_json::to_string(&document.paths).unwrap();
    let about = |code: &ErrorCode| format!("`{}`", code.as_str());
    // A path that no function has is no route's error, and this one only ever ends a stream.
    let elsewhere = [ErrorCode::NotFound, ErrorCode::AnswerNotSaved];
    let unnamed: Vec<_> = ErrorCode::ALL
        .iter()
        .filter(|code| !elsewhere.contains(code))
        .filter(|code| !routes.contains(&about(code)) && !everywhere.contains(&about(code)))
        .collect();
    assert!(unnamed.is_empty(), "{unnamed:?}");
}

#[test]
fn codes_are_told_apart() {
    let codes: BTreeSet<_> = ErrorCode::ALL.iter().map(|code| code.as_str()).collect();
    assert_eq!(codes.len(), ErrorCode::ALL.len());
}

/// The example's variables, with its values.
fn example() -> HashMap<String, String> {
    let file = read(".env.example");
    let lines = file.lines().filter(|line| !line.starts_with('#') && !line.is_empty());
    lines
        .map(|line| {
            let (name, value) = line.split_once('=').unwrap();
            (name.to_owned(), value.trim_matches('"').to_owned())
        })
        .collect()
}

#[test]
fn the_example_names_every_variable_that_is_read_and_no_other_and_works() {
    let example = example();
    let env = Env::new(|name| example.get(name).cloned());
    EdgeConfig::from_env(&env).unwrap();
    SessionKeys::from_env(&env).unwrap();
    DatabaseConfig::from_env(&env).unwrap();
    CacheConfig::from_env(&env).unwrap();
    Pepper::from_env(&env).unwrap();
    OpenRouterConfig::from_env(&env).unwrap();
    ChatConfig::from_env(&env).unwrap();
    Settings::from_env(&env).unwrap();
    let mut read = env.asked();
    // Read by `otp`'s and `local`'s main, which have no library to ask.
    read.extend(["MAIL_FROM", "PORT", "LOCAL_OPENROUTER_PORT"].map(str::to_owned));
    assert_eq!(read, example.keys().cloned().collect());
}

#[test]
fn both_tables_of_models_can_be_read() {
    for table in ["models.toml", "local/models.toml"] {
        ModelTable::parse(&read(table)).unwrap();
    }
}
