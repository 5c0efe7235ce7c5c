//! Configuration from environment variables, read once at start.
//!
//! Each topic has one small struct with a `from_env`. The source is passed in, so that a test can
//! record which variables a function reads and compare them with `.env.example` and the template.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use secrecy::SecretString;

type Lookup<'a> = dyn Fn(&str) -> Option<String> + 'a;

/// A source of environment variables, which records the look-ups.
pub struct Env<'a> {
    lookup: Box<Lookup<'a>>,
    asked: RefCell<BTreeSet<String>>,
}

/// A variable is missing or invalid. Holds no value: it may be a secret.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{variable} {problem}")]
pub struct ConfigError {
    variable: String,
    problem: String,
}

impl ConfigError {
    /// `variable` has the given `problem`, worded to follow its name: "is not set".
    pub fn new(variable: &str, problem: impl fmt::Display) -> Self {
        Self { variable: variable.to_owned(), problem: problem.to_string() }
    }
}

impl<'a> Env<'a> {
    /// Looks variables up with `lookup`; an empty value counts as not set, as in a shell's `${X:-}`.
    pub fn new(lookup: impl Fn(&str) -> Option<String> + 'a) -> Self {
        Self { lookup: Box::new(lookup), asked: RefCell::default() }
    }

    /// The variables looked up so far.
    pub fn asked(&self) -> BTreeSet<String> {
        self.asked.borrow().clone()
    }

    /// An optional variable.
    pub fn optional(&self, variable: &str) -> Option<String> {
        self.asked.borrow_mut().insert(variable.to_owned());
        (self.lookup)(variable).filter(|value| !value.is_empty())
    }

    /// A required variable.
    pub fn required(&self, variable: &str) -> Result<String, ConfigError> {
        self.optional(variable).ok_or_else(|| ConfigError::new(variable, "is not set"))
    }

    /// A required secret.
    pub fn secret(&self, variable: &str) -> Result<SecretString, ConfigError> {
        self.required(variable).map(SecretString::from)
    }

    /// A duration in whole seconds, at least one.
    pub fn seconds(&self, variable: &str, default: u64) -> Result<Duration, ConfigError> {
        match self.parsed(variable, default)? {
            0 => Err(ConfigError::new(variable, "has to be at least 1")),
            seconds => Ok(Duration::from_secs(seconds)),
        }
    }

    /// A value of any type that parses, or `default` where it is not set.
    pub fn parsed<T: FromStr>(&self, variable: &str, default: T) -> Result<T, ConfigError>
    where
        T::Err: fmt::Display,
    {
        match self.optional(variable) {
            None => Ok(default),
            Some(value) => value
                .parse()
                .map_err(|error| ConfigError::new(variable, format!("cannot be read: {error}"))),
        }
    }
}

impl fmt::Debug for Env<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Env").field("asked", &self.asked()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_empty_value_counts_as_not_set() {
        let env = Env::new(|_| Some(String::new()));
        assert_eq!(env.required("PORT"), Err(ConfigError::new("PORT", "is not set")));
    }

    #[test]
    fn a_parse_error_names_the_variable_and_not_its_value() {
        let env = Env::new(|_| Some("hunter2".into()));
        let error = env.parsed::<u16>("PORT", 1).unwrap_err().to_string();
        assert!(error.starts_with("PORT cannot be read") && !error.contains("hunter2"), "{error}");
    }

    #[test]
    fn looked_up_variables_are_recorded() {
        let env = Env::new(|_| None);
        let _ = (env.optional("B"), env.secret("A"));
        assert_eq!(env.asked().into_iter().collect::<Vec<_>>(), ["A", "B"]);
    }
}
