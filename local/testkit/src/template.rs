//! The variables that the templates set, for the functions' own tests.

use std::collections::{BTreeMap, HashMap};

use serde_norway::Value;

use crate::repository_file;

/// The templates with functions.
const TEMPLATES: [&str; 3] = ["infra/api.yaml", "infra/async.yaml", "infra/schema.yaml"];

/// How the template sets a variable.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Deployed {
    /// To this text.
    Text(String),
    /// To a reference to a secret.
    Secret,
    /// To a value that only a deployment knows.
    Known,
}

/// The variables that the templates set for the function with this logical id, such as `OtpFunction`.
///
/// # Panics
///
/// If the function does not exist, or the templates cannot be read.
pub fn deployed_variables(function: &str) -> BTreeMap<String, Deployed> {
    for path in TEMPLATES {
        let template: Value = serde_norway::from_str(&repository_file(path)).expect("YAML");
        let resource = &template["Resources"][function];
        if resource.is_null() {
            continue;
        }
        assert_eq!(resource["Type"], "AWS::Serverless::Function", "{path}: {function}");
        let everyones = &template["Globals"]["Function"]["Environment"]["Variables"];
        let own = &resource["Properties"]["Environment"]["Variables"];
        return [everyones, own]
            .into_iter()
            .filter_map(Value::as_mapping)
            .flatten()
            .map(|(name, value)| (name.as_str().expect("a name").to_owned(), deployed(value)))
            .collect();
    }
    panic!("no template has a function {function}; docs/adding-a-route.md, step 6");
}

fn deployed(value: &Value) -> Deployed {
    let Value::Tagged(function) = value else {
        return Deployed::Text(value.as_str().expect("a text: quote it").to_owned());
    };
    let text = function.value.as_str().filter(|_| function.tag == "Sub");
    if text.is_some_and(|text| text.starts_with("secret:")) {
        Deployed::Secret
    } else {
        Deployed::Known
    }
}

/// The variables of `.env.example` with their values.
///
/// # Panics
///
/// If the file cannot be read, or a line of it has no `=`.
pub fn example_variables() -> HashMap<String, String> {
    let file = repository_file(".env.example");
    let lines = file.lines().filter(|line| !line.starts_with('#') && !line.is_empty());
    lines
        .map(|line| {
            let (name, value) = line.split_once('=').expect("a variable");
            (name.to_owned(), value.trim_matches('"').to_owned())
        })
        .collect()
}
