//! Events: from CloudFormation, or from an operator with `aws lambda invoke`.

use serde::{Deserialize, Deserializer};
use serde_json::Value;
use shared_postgres::Destructive;

/// An event.
#[derive(Debug)]
pub(crate) enum Event {
    /// A custom resource is created, updated or deleted.
    Resource(ResourceEvent),
    /// Invoked by an operator.
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
    /// Parsed later, by [`Properties::read`], when an error can be reported to CloudFormation.
    #[serde(rename = "ResourceProperties", default)]
    pub(crate) properties: Value,
}

/// The operation on the resource.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
pub(crate) enum RequestType {
    Create,
    Update,
    Delete,
}

/// The resource's properties in the template.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(crate) struct Properties {
    /// Changes with the schema; CloudFormation updates only when a property has changed.
    pub(crate) schema_hash: Option<String>,
    /// Whether a migration may lose stored data.
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

/// CloudFormation makes every value a string; operators write a boolean.
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
