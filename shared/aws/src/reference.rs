//! Variables that refer to secrets: `secret:<id>` is a secret of Secrets Manager, and
//! `secret:<id>#<field>` a field of the JSON object that it holds.

use std::ffi::OsString;

use shared_core::env::ConfigError;

const SCHEME: &str = "secret:";

/// A variable that refers to a secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reference {
    /// The variable.
    pub variable: String,
    /// The secret's name or ARN, with or without the six characters that end an ARN.
    pub id: String,
    /// The field of the secret's JSON object; `None` is the secret's whole text.
    pub field: Option<String>,
}

impl Reference {
    /// Parses the value of `variable`; `None` if it is an ordinary value.
    fn parse(variable: &str, value: &str) -> Option<Result<Self, ConfigError>> {
        // Neither a secret's name nor an ARN can have a `#`.
        let (id, field) = match value.strip_prefix(SCHEME)?.split_once('#') {
            Some((id, field)) => (id, Some(field)),
            None => (value.strip_prefix(SCHEME)?, None),
        };
        if id.is_empty() || field == Some("") {
            let problem =
                "has to name a secret: secret:<name or ARN> or secret:<name or ARN>#<field>";
            return Some(Err(ConfigError::new(variable, problem)));
        }
        let (variable, id, field) = (variable.into(), id.into(), field.map(str::to_owned));
        Some(Ok(Self { variable, id, field }))
    }
}

/// Returns those of `variables` (a process's: [`std::env::vars_os`]) that refer to secrets.
pub fn references(
    variables: impl IntoIterator<Item = (OsString, OsString)>,
) -> Result<Vec<Reference>, ConfigError> {
    variables
        .into_iter()
        .filter_map(|(variable, value)| Reference::parse(variable.to_str()?, value.to_str()?))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(value: &str) -> Result<Vec<Reference>, ConfigError> {
        references([("SESSION_KEYS".into(), value.into())])
    }

    #[test]
    fn an_ordinary_value_refers_to_nothing() {
        for value in ["", "hunter2", "postgres://a:secret:b@host/chat", "secrets:a"] {
            assert_eq!(found(value), Ok(vec![]), "{value}");
        }
    }

    #[test]
    fn a_reference_names_a_secret_and_perhaps_a_field() {
        let arn = "arn:aws:secretsmanager:ap-south-1:111122223333:secret:chat/keys-AbCdEf";
        for (id, field) in [("chat/keys", None), (arn, None), (arn, Some("password"))] {
            let field = field.map(str::to_owned);
            let written = field.as_ref().map_or(String::new(), |field| format!("#{field}"));
            let expected = Reference { variable: "SESSION_KEYS".into(), id: id.into(), field };
            assert_eq!(found(&format!("secret:{id}{written}")), Ok(vec![expected]));
        }
    }

    #[test]
    fn an_incomplete_reference_is_an_error_that_names_the_variable() {
        for value in ["secret:", "secret:#password", "secret:chat/keys#"] {
            let error = found(value).unwrap_err().to_string();
            assert!(error.starts_with("SESSION_KEYS has to name a secret"), "{error}");
        }
    }
}
