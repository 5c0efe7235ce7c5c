//! Finds a function or a route that is not registered everywhere it has to be. Messages name the step of
//! `docs/adding-a-route.md` that was left out.

#![expect(clippy::unwrap_used, reason = "a test stops where it breaks")]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use serde_json::Value;
use testkit::{repository, repository_file};
use utoipa::openapi::OpenApi;

fn names_in(folder: &str) -> BTreeSet<String> {
    let entries = fs::read_dir(repository().join(folder)).unwrap();
    entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
}

/// The sample events, by their names without `.json`.
fn events() -> impl Iterator<Item = (String, Value)> {
    names_in("events").into_iter().filter_map(|file| {
        let name = file.strip_suffix(".json")?.to_owned();
        Some((name, serde_json::from_str(&repository_file(format!("events/{file}"))).unwrap()))
    })
}

/// Whether an event's name is `<function>` or `<function>-<case>`.
fn is_of(event: &str, function: &str) -> bool {
    event.strip_prefix(function).is_some_and(|rest| rest.is_empty() || rest.starts_with('-'))
}

/// `chat-stream` is `ChatStreamFunction` in the template.
fn logical_id(function: &str) -> String {
    let capital = |word: &str| word[..1].to_uppercase() + &word[1..];
    function.split('-').map(capital).collect::<String>() + "Function"
}

/// Each function's part of the API document. A function that is missing here has no route, or was forgotten
/// in step 3; the first test detects that.
fn documents() -> Vec<(&'static str, OpenApi)> {
    vec![
        ("otp", otp::openapi()),
        ("verify", verify::openapi()),
        ("account", account::openapi()),
        ("models", models::openapi()),
        ("keys", keys::openapi()),
        ("orders", orders::openapi()),
        ("webhook", webhook::openapi()),
        ("presign", presign::openapi()),
        ("inspect", inspect::openapi()),
        ("chat-stream", chat_stream::openapi()),
    ]
}

/// The routes of a document, as `POST /api/chat`.
fn routes(document: &OpenApi) -> BTreeSet<String> {
    let document = serde_json::to_value(&document.paths).unwrap();
    let paths = document.as_object().unwrap().iter();
    paths
        .flat_map(|(path, methods)| {
            let methods = methods.as_object().unwrap().keys();
            methods.map(move |method| format!("{} {path}", method.to_uppercase()))
        })
        .collect()
}

/// The method and path of an event, if it is a request: a REST API's or a Function URL's.
fn route_of_event(event: &Value) -> Option<String> {
    let http = &event["requestContext"]["http"];
    let method = event["httpMethod"].as_str().or(http["method"].as_str())?;
    let path = event["resource"].as_str().or(http["path"].as_str())?;
    Some(format!("{method} {path}"))
}

#[test]
fn every_function_is_everywhere_it_has_to_be() {
    let (manifest, product) =
        (repository_file("Cargo.toml"), repository_file("local/src/product.rs"));
    let templates =
        ["api", "async", "schema"].map(|part| repository_file(format!("infra/{part}.yaml")));
    let (templates, readme) = (templates.concat(), repository_file("README.md"));
    let mut left_out = Vec::new();
    for function in names_in("functions") {
        let folder = repository().join("functions").join(&function);
        let lib = fs::read_to_string(folder.join("src/lib.rs")).unwrap_or_default();
        let has_routes = lib.contains("pub fn app(");
        let id = logical_id(&function);
        let crate_name = function.replace('-', "_");
        let mut need = |step: u8, what: &str, is_there: bool| {
            if !is_there {
                left_out.push(format!("{function}: step {step}, {what}"));
            }
        };
        need(
            1,
            "a member of the workspace",
            manifest.contains(&format!("\"functions/{function}\"")),
        );
        need(1, "src/main.rs", folder.join("src/main.rs").exists());
        if has_routes {
            need(3, "local/src/product.rs", product.contains(&format!("{crate_name}::app(")));
            let document = documents().into_iter().find(|(name, _)| *name == function);
            need(3, "local/src/openapi.rs", document.is_some());
            need(
                4,
                "tests/api.rs",
                folder.join("tests/api.rs").exists() || folder.join("tests/turn").exists(),
            );
        }
        need(5, "events/<name>*.json", events().any(|(event, _)| is_of(&event, &function)));
        need(5, "tests/lambda.rs", folder.join("tests/lambda.rs").exists());
        need(6, &id, templates.contains(&format!("\n  {id}:\n")));
        need(6, "CodeUri", templates.contains(&format!("CodeUri: ../functions/{function}\n")));
        need(8, "README.md", readme.contains(&format!("`{function}`")));
    }
    assert!(left_out.is_empty(), "see docs/adding-a-route.md: {left_out:#?}");
}

#[test]
fn every_route_has_an_event_and_every_event_a_route() {
    let mut left_out = Vec::new();
    let events: BTreeMap<String, String> =
        events().filter_map(|(name, event)| Some((name, route_of_event(&event)?))).collect();
    for (function, document) in documents() {
        let routes = routes(&document);
        let own = events.iter().filter(|(name, _)| is_of(name, function));
        let shown: BTreeSet<String> = own.map(|(_, route)| route.clone()).collect();
        let missing = routes.difference(&shown);
        left_out.extend(missing.map(|route| format!("{route} has no event: step 5")));
        let stray = shown.difference(&routes);
        left_out.extend(stray.map(|route| format!("an event asks {function} for {route}: step 2")));
    }
    assert!(left_out.is_empty(), "see docs/adding-a-route.md: {left_out:#?}");
}

#[test]
fn every_event_is_explained_and_run() {
    let readme = repository_file("events/README.md");
    let mut left_out = Vec::new();
    for (name, _) in events() {
        if !readme.contains(&format!("`{name}`")) {
            left_out.push(format!("{name}: step 5, events/README.md"));
        }
        let run = names_in("functions").into_iter().any(|function| {
            let tests = repository().join("functions").join(function).join("tests");
            tests_of(&tests).any(|test| test.contains(&format!("\"{name}\"")))
        });
        if !run {
            left_out.push(format!("{name}: step 5, no test posts it"));
        }
    }
    assert!(left_out.is_empty(), "see docs/adding-a-route.md: {left_out:#?}");
}

fn tests_of(folder: &Path) -> impl Iterator<Item = String> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    entries.filter_map(|entry| fs::read_to_string(entry.path()).ok())
}

#[test]
fn the_document_has_every_functions_routes_and_no_others() {
    let all: BTreeSet<String> = documents().iter().flat_map(|(_, part)| routes(part)).collect();
    assert_eq!(routes(&local::openapi()), all, "step 3 of docs/adding-a-route.md");
}
