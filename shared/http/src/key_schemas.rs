//! Schemas of a key's enums for the API document. The types are core's, which does not depend on
//! `OpenAPI`.

use serde_json::json;
use shared_core::keys::{KeyPolicy, KeyStatus};
use utoipa::openapi::{Object, ObjectBuilder, RefOr, Schema, Type};
use utoipa::{PartialSchema, ToSchema};

/// The values of [`KeyPolicy`], for a field's `schema_with`.
pub fn key_policy_schema() -> Object {
    ObjectBuilder::new()
        .schema_type(Type::String)
        .enum_values(Some([KeyPolicy::Always, KeyPolicy::Fallback].map(|word| json!(word))))
        .description(Some(
            "When the key pays: for every turn, or for those that the plan does not pay for, because \
             its credits are gone or the model is not in it.",
        ))
        .build()
}

/// The schema `KeyStatus`, for the `value_type` of a field that is a [`KeyStatus`].
#[derive(Debug)]
pub struct KeyStatusSchema;

impl PartialSchema for KeyStatusSchema {
    fn schema() -> RefOr<Schema> {
        ObjectBuilder::new()
            .schema_type(Type::String)
            .enum_values(Some([KeyStatus::Active, KeyStatus::Refused].map(|word| json!(word))))
            .description(Some(
                "Whether turns can be paid with the key: `active`, as far as is known; `refused`, since \
                 OpenRouter refused it in a turn. Then it has to be replaced.",
            ))
            .into()
    }
}

impl ToSchema for KeyStatusSchema {
    fn name() -> std::borrow::Cow<'static, str> {
        "KeyStatus".into()
    }
}
