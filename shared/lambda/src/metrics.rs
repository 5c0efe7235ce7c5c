//! Metrics, as CloudWatch reads them out of the log: the [embedded metric format][1], one line of JSON.
//!
//! A line costs nothing but its bytes, where a call would cost a round trip; and its other fields
//! can be searched for.
//!
//! [1]: https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/CloudWatch_Embedded_Metric_Format_Specification.html

use std::io::Write;
use std::sync::OnceLock;

use jiff::Timestamp;
use serde_json::{Map, Value, json};

/// The namespace that the alarms and the dashboard query.
const NAMESPACE: &str = "Chat";

/// The function's name on Lambda; unset elsewhere, where no metrics are written.
static FUNCTION: OnceLock<String> = OnceLock::new();

/// The unit of a metric.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unit {
    /// A number of things.
    Count,
    /// Milliseconds.
    Milliseconds,
    /// None of CloudWatch's own, such as US dollars.
    None,
}

impl Unit {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Count => "Count",
            Self::Milliseconds => "Milliseconds",
            Self::None => "None",
        }
    }
}

/// A metric: a name, a value and a unit.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Metric {
    /// Its name in CloudWatch.
    pub name: &'static str,
    /// Its value.
    pub value: f64,
    /// Its unit.
    pub unit: Unit,
}

impl Metric {
    /// A count of one.
    pub const fn one(name: &'static str) -> Self {
        Self { name, value: 1.0, unit: Unit::Count }
    }

    /// A count.
    pub const fn count(name: &'static str, value: f64) -> Self {
        Self { name, value, unit: Unit::Count }
    }

    /// A duration.
    pub fn time(name: &'static str, time: std::time::Duration) -> Self {
        Self { name, value: time.as_secs_f64() * 1e3, unit: Unit::Milliseconds }
    }

    /// US dollars.
    pub const fn usd(name: &'static str, value: f64) -> Self {
        Self { name, value, unit: Unit::None }
    }
}

/// Sets the function's name; from now on, metrics are written.
pub(crate) fn begin(function: String) {
    let _ = FUNCTION.set(function);
}

/// Writes `metrics`, and beside them the searchable fields `about`: never a user's address, key or
/// text.
pub fn measure(now: Timestamp, metrics: &[Metric], about: &[(&str, &str)]) {
    let Some(function) = FUNCTION.get() else { return };
    let mut line = embedded(function, now, metrics, about).to_string();
    line.push('\n');
    // Ignore a failed write: without a log there is no place to report it.
    let _ = std::io::stdout().lock().write_all(line.as_bytes());
}

fn embedded(function: &str, now: Timestamp, metrics: &[Metric], about: &[(&str, &str)]) -> Value {
    let definitions: Vec<_> = metrics
        .iter()
        .map(|metric| json!({ "Name": metric.name, "Unit": metric.unit.as_str() }))
        .collect();
    let mut line = Map::new();
    line.insert(
        "_aws".to_owned(),
        json!({
            "Timestamp": now.as_millisecond(),
            "CloudWatchMetrics": [{
                "Namespace": NAMESPACE,
                "Dimensions": [["Function"]],
                "Metrics": definitions,
            }],
        }),
    );
    line.insert("Function".to_owned(), function.into());
    line.extend(about.iter().map(|(name, value)| ((*name).to_owned(), Value::from(*value))));
    line.extend(metrics.iter().map(|metric| (metric.name.to_owned(), metric.value.into())));
    Value::Object(line)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_line_declares_which_of_its_fields_are_metrics() {
        let metrics = [
            Metric::time("TimeToFirstByte", Duration::from_micros(1500)),
            Metric::count("PromptTokens", 7.0),
        ];
        let line = embedded("chat-stream", Timestamp::UNIX_EPOCH, &metrics, &[("model", "a/b")]);
        insta::assert_json_snapshot!(line, @r#"
        {
          "Function": "chat-stream",
          "PromptTokens": 7.0,
          "TimeToFirstByte": 1.5,
          "_aws": {
            "CloudWatchMetrics": [
              {
                "Dimensions": [
                  [
                    "Function"
                  ]
                ],
                "Metrics": [
                  {
                    "Name": "TimeToFirstByte",
                    "Unit": "Milliseconds"
                  },
                  {
                    "Name": "PromptTokens",
                    "Unit": "Count"
                  }
                ],
                "Namespace": "Chat"
              }
            ],
            "Timestamp": 0
          },
          "model": "a/b"
        }
        "#);
    }
}
