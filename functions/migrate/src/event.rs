//! What this function is asked: by CloudFormation, or by a person with `aws lambda invoke`.

use serde::{Deserialize, Deserializer};
use serde_json::Value;
use shared_postgres::Destructive;

/// An event.
#[derive(Debug)]
pub(crate) enum Event {
    /// A custom resource is made, changed or deleted.
    Resource(ResourceEvent),
    /// A person asks.
    Direct(Value),
}

/// CloudFormation's [request](https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/crpg-ref-requests.html).
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct ResourceEvent {
    pub(crate) request_type: RequestType,
    #[serde(rename = "ResponseURL")]
    pub(crate) response_url: String,
    pub(crate) stack_id: String,
    pub(crate) request_id: String,
    pub(crate) logical_resource_id: String,
    /// Read by [`Properties::read`] when somebody can be told that they make no sense.
    #[serde(rename = "ResourceProperties", default)]
    pub(crate) properties: Value,
}

/// What happens to the resource.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
pub(crate) enum RequestType {
    Create,
    Update,
    Delete,
}

/// What the template says of the schema.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(crate) struct Properties {
    /// Changes with the schema; CloudFormation asks only when a property has changed.
    pub(crate) schema_hash: Option<String>,
    /// Whether a migration may lose what is stored.
    #[serde(deserialize_with = "yes_or_no")]
    pub(crate) allow_destructive: bool,
}

impl Properties {
    pub(crate) fn read(properties: &Value) -> Result<Self, serde_json::Error> {
        if properties.is_null() { Ok(Self::default()) } else { Self::deserialize(properties) }
    }

    pub(crate) fn destructive(&self) -> Destructive {
        if self.allow_destructive { Destructive::Allowed } else { Destructive::Refused }
    }
}

/// CloudFormation makes every value a string; people write a boolean.
fn yes_or_no<'de, D: Deserializer<'de>>(deserializer: D) -> Result<bool, D::Error> {
    let value = Value::deserialize(deserializer)?;
    match value.as_bool() {
        Some(yes) => Ok(yes),
        None => match value.as_str() {
            Some("true") => Ok(true),
            Some("false") => Ok(false),
            _ => Err(serde::de::Error::custom("AllowDestructive has to be true or false")),
        },
    }
}

impl Event {
    pub(crate) fn parse(event: Value) -> Result<Self, serde_json::Error> {
        if event.get("ResponseURL").is_some() {
            serde_json::from_value(event).map(Self::Resource)
        } else {
            Ok(Self::Direct(event))
        }
    }
}
