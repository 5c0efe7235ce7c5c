//! Fetches the secrets that variables refer to from Secrets Manager when a function starts: all in one
//! call, because each costs a cold start a round trip.
//!
//! The function needs `secretsmanager:BatchGetSecretValue`, which AWS grants on `*` only, and
//! `secretsmanager:GetSecretValue` on each secret.

use std::collections::{BTreeSet, HashMap};
use std::fmt;

use aws_sdk_secretsmanager::Client;
use aws_sdk_secretsmanager::types::{ApiErrorType, SecretValueEntry};
use futures_util::future::try_join_all;
use secrecy::SecretString;
use serde_json::Value;

use crate::error::identifier;
use crate::{Aws, AwsError, Reference};

/// Secrets per [call][1].
///
/// [1]: https://docs.aws.amazon.com/secretsmanager/latest/apireference/API_BatchGetSecretValue.html
const PER_CALL: usize = 20;
/// AWS ends a secret's ARN with a hyphen and this many random characters.
const SUFFIX: usize = 6;

/// The secrets of this process, by the variable that refers to each.
#[derive(Default)]
pub struct Secrets {
    values: HashMap<String, SecretString>,
}

/// A secret cannot be resolved. Names variables and secrets, never a value.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SecretsError {
    /// The call failed, and with it all secrets that it requested.
    #[error(
        "{failure}; secretsmanager:BatchGetSecretValue was asked for what these variables refer to: {variables}"
    )]
    Call {
        /// Separated by commas.
        variables: String,
        /// Why.
        failure: AwsError,
    },
    /// One secret is not what its variable needs.
    #[error("{variable} refers to the secret {id}, {problem}")]
    Secret {
        /// The variable.
        variable: String,
        /// The secret, as the variable names it.
        id: String,
        /// What is wrong.
        problem: Problem,
    },
}

/// What is wrong with a secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Problem {
    /// There is none with this id.
    NotFound,
    /// The function may not read it, or not use the key that encrypts it.
    AccessDenied,
    /// Secrets Manager's code for another reason.
    Refused(Option<String>),
    /// It is missing from Secrets Manager's response.
    LeftOut,
    /// It holds bytes where a text is needed.
    Binary,
    /// A field is requested, but it is not a JSON object.
    NotJson,
    /// Its JSON object has no such field.
    NoField(String),
    /// The field is null, an array or an object.
    NotText(String),
}

impl Secrets {
    /// Fetches what `references` refer to. Without any, creates no client and makes no call.
    pub async fn fetch(aws: &Aws, references: &[Reference]) -> Result<Self, SecretsError> {
        let ids: BTreeSet<&str> = references.iter().map(|reference| &*reference.id).collect();
        if ids.is_empty() {
            return Ok(Self::default());
        }
        let ids: Vec<&str> = ids.into_iter().collect();
        let client = Client::new(aws.sdk_config());
        let calls = ids.chunks(PER_CALL).map(|ids| call(&client, ids, references));
        let answer = try_join_all(calls).await?.into_iter().fold(Answer::default(), Answer::and);
        references
            .iter()
            .map(|reference| {
                let value = answer.value(reference).map_err(|problem| SecretsError::Secret {
                    variable: reference.variable.clone(),
                    id: reference.id.clone(),
                    problem,
                })?;
                Ok((reference.variable.clone(), value))
            })
            .collect::<Result<_, _>>()
            .map(|values| Self { values })
    }

    /// The secret that `variable` refers to.
    pub fn get(&self, variable: &str) -> Option<&SecretString> {
        self.values.get(variable)
    }
}

impl fmt::Debug for Secrets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.values.keys()).finish()
    }
}

/// Fetches at most [`PER_CALL`] secrets.
async fn call(
    client: &Client,
    ids: &[&str],
    references: &[Reference],
) -> Result<Answer, SecretsError> {
    let ids_owned = ids.iter().map(|id| (*id).to_owned()).collect();
    let answer = client.batch_get_secret_value().set_secret_id_list(Some(ids_owned)).send().await;
    let answer = answer.map_err(|error| {
        let affected = references.iter().filter(|reference| ids.contains(&&*reference.id));
        let variables: Vec<_> = affected.map(|reference| &*reference.variable).collect();
        SecretsError::Call {
            variables: variables.join(", "),
            failure: AwsError::new("Secrets Manager", &error),
        }
    })?;
    Ok(Answer {
        entries: answer.secret_values.unwrap_or_default(),
        errors: answer.errors.unwrap_or_default(),
    })
}

/// The results of all calls.
#[derive(Default)]
struct Answer {
    entries: Vec<SecretValueEntry>,
    errors: Vec<ApiErrorType>,
}

impl Answer {
    fn and(mut self, other: Self) -> Self {
        self.entries.extend(other.entries);
        self.errors.extend(other.errors);
        self
    }

    fn value(&self, reference: &Reference) -> Result<SecretString, Problem> {
        let entry = self.entry(&reference.id).ok_or_else(|| self.problem(&reference.id))?;
        let text = entry.secret_string().ok_or(Problem::Binary)?;
        match &reference.field {
            None => Ok(text.into()),
            Some(field) => field_of(text, field),
        }
    }

    /// Secrets come in any order, with name and full ARN, however they were requested.
    fn entry(&self, id: &str) -> Option<&SecretValueEntry> {
        let exactly = |entry: &&SecretValueEntry| [entry.arn(), entry.name()].contains(&Some(id));
        let without_suffix =
            |entry: &&SecretValueEntry| entry.arn().is_some_and(|arn| is_suffixed(arn, id));
        let mut entries = self.entries.iter();
        entries.find(exactly).or_else(|| self.entries.iter().find(without_suffix))
    }

    fn problem(&self, id: &str) -> Problem {
        let about = |error: &&ApiErrorType| error.secret_id() == Some(id);
        let Some(error) = self.errors.iter().find(about) else { return Problem::LeftOut };
        match error.error_code() {
            Some("ResourceNotFoundException") => Problem::NotFound,
            Some("AccessDeniedException") => Problem::AccessDenied,
            code => Problem::Refused(code.and_then(identifier)),
        }
    }
}

/// Whether `arn` is `id` and AWS's random suffix.
fn is_suffixed(arn: &str, id: &str) -> bool {
    arn.strip_prefix(id).and_then(|rest| rest.strip_prefix('-')).is_some_and(|suffix| {
        suffix.len() == SUFFIX && suffix.bytes().all(|b| b.is_ascii_alphanumeric())
    })
}

/// Drops `serde_json`'s errors: they may repeat a part of the secret.
fn field_of(text: &str, field: &str) -> Result<SecretString, Problem> {
    let Ok(Value::Object(mut fields)) = serde_json::from_str(text) else {
        return Err(Problem::NotJson);
    };
    match fields.remove(field) {
        Some(Value::String(text)) => Ok(text.into()),
        Some(Value::Number(number)) => Ok(number.to_string().into()),
        Some(Value::Bool(yes)) => Ok(yes.to_string().into()),
        Some(Value::Null | Value::Array(_) | Value::Object(_)) => {
            Err(Problem::NotText(field.to_owned()))
        }
        None => Err(Problem::NoField(field.to_owned())),
    }
}

/// Worded to follow the secret's id.
impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotFound => f.write_str("which does not exist"),
            Self::AccessDenied => f.write_str(
                "which the function may not read (secretsmanager:GetSecretValue, and kms:Decrypt if \
                 a key of yours encrypts it)",
            ),
            Self::Refused(Some(code)) => write!(f, "which Secrets Manager refuses: {code}"),
            Self::Refused(None) => f.write_str("which Secrets Manager refuses"),
            Self::LeftOut => f.write_str("which Secrets Manager's answer leaves out"),
            Self::Binary => f.write_str("which holds bytes and no text"),
            Self::NotJson => f.write_str("which holds no JSON object to take a field from"),
            Self::NoField(field) => write!(f, "which has no field {field:?}"),
            Self::NotText(field) => write!(f, "whose field {field:?} is no text"),
        }
    }
}
