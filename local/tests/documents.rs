//! The documents about the API and its configuration match the code.

use std::collections::BTreeSet;

use chat_stream::ChatConfig;
use local_stack::Settings;
use shared_cache::{CacheConfig, Pepper};
use shared_cashfree::{CashfreeConfig, WebhookSecrets};
use shared_core::billing::Plans;
use shared_core::env::Env;
use shared_core::models::ModelTable;
use shared_files::FilesConfig;
use shared_http::{ErrorCode, HttpConfig, SessionKeys};
use shared_inbox::InboxConfig;
use shared_lambda::otel::OtelConfig;
use shared_openrouter::OpenRouterConfig;
use shared_postgres::DatabaseConfig;
use shared_vault::VaultConfig;
use testkit::{example_variables, repository_file};

#[test]
fn the_openapi_document_is_the_codes() {
    let document = local::openapi().to_pretty_json().unwrap();
    assert!(repository_file("docs/openapi.json").trim() == document.trim(), "run `make openapi`");
}

#[test]
fn the_errors_page_is_the_codes() {
    assert!(repository_file("docs/errors.md") == local::errors_page(), "run `make openapi`");
}

#[test]
fn every_error_code_is_named_by_a_route_or_is_common_to_all() {
    let document = local::openapi();
    let everywhere = document.info.description.clone().unwrap_or_default();
    let routes = serde_json::to_string(&document.paths).unwrap();
    let about = |code: &ErrorCode| format!("`{}`", code.as_str());
    // Never a route's error: `not_found` is for paths that no function has, `answer_not_saved` only ends a
    // stream.
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

#[test]
fn the_example_names_every_variable_that_is_read_and_no_other_and_works() {
    let example = example_variables();
    // Lambda's own variables are in no example; a KMS key needs a region.
    let lambdas = |name: &str| match name {
        "AWS_REGION" => Some("ap-south-1"),
        "AWS_ACCESS_KEY_ID" | "AWS_SECRET_ACCESS_KEY" => Some("example"),
        _ => None,
    };
    let env = Env::new(|name| example.get(name).cloned().or_else(|| lambdas(name).map(Into::into)));
    HttpConfig::from_env(&env).unwrap();
    OtelConfig::from_env(&env).unwrap();
    SessionKeys::from_env(&env).unwrap();
    DatabaseConfig::from_env(&env).unwrap();
    DatabaseConfig::of_owner(&env).unwrap();
    DatabaseConfig::for_payments(&env).unwrap();
    CashfreeConfig::from_env(&env).unwrap();
    WebhookSecrets::from_env(&env).unwrap();
    CacheConfig::from_env(&env).unwrap();
    Pepper::from_env(&env).unwrap();
    OpenRouterConfig::from_env(&env).unwrap();
    ChatConfig::from_env(&env).unwrap();
    VaultConfig::from_env(&env).unwrap();
    InboxConfig::from_env(&env).unwrap();
    FilesConfig::from_env(&env).unwrap();
    Settings::from_env(&env).unwrap();
    let mut read = env.asked();
    read.retain(|name| !name.starts_with("AWS_"));
    // Read in `main` functions only, by the OpenTelemetry SDK, or (`REVISION`) not at all.
    let unasked = [
        "REVISION",
        "MAIL_FROM",
        "PORT",
        "LOCAL_OPENROUTER_PORT",
        "LOCAL_CASHFREE_PORT",
        "LOCAL_S3_PORT",
    ];
    read.extend(unasked.into_iter().chain(["OTEL_TRACES_SAMPLER"]).map(str::to_owned));
    assert_eq!(read, example.keys().cloned().collect());
}

#[test]
fn the_default_model_is_affordable_on_the_free_plan() {
    let plans = Plans::parse(&repository_file("plans.toml")).unwrap();
    for table in ["models.toml", "local/models.toml"] {
        let models = ModelTable::parse(&repository_file(table)).unwrap();
        let pricing = models.offered(models.default_model()).unwrap();
        assert!(
            plans.free().includes(pricing.tier),
            "{table}: the default is not in the plan free"
        );
        assert!(
            pricing.credits <= plans.free().credits.get(),
            "{table}: the default costs too much"
        );
    }
}

#[test]
fn the_template_asks_for_this_schema() {
    let expected = format!("SchemaHash: '{}'", shared_postgres::schema_hash());
    assert!(
        repository_file("infra/schema.yaml").contains(&expected),
        "infra/schema.yaml needs {expected}"
    );
}

#[test]
fn the_gateways_own_errors_are_in_the_table() {
    let template = repository_file("infra/api.yaml");
    let said = template.split(r#"{"error":{"code":""#).skip(1);
    let said: BTreeSet<_> = said.map(|rest| rest.split('"').next().unwrap()).collect();
    assert!(said.len() > 5, "{said:?}");
    let known: BTreeSet<_> = ErrorCode::ALL.iter().map(|code| code.as_str()).collect();
    assert!(said.is_subset(&known), "{said:?}");
}
