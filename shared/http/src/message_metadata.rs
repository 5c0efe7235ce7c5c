//! What a turn took, as its stream says it.

use serde::Serialize;
use serde_json::json;
use shared_core::answer::Usage;
use shared_core::credits::Charge;
use shared_core::money::usd;
use shared_core::usage::PaidBy;
use utoipa::ToSchema;
use utoipa::openapi::{Object, ObjectBuilder, Type};

/// What an answer took.
#[derive(Clone, Debug)]
pub struct Took<'a> {
    /// The model that answered.
    pub model: &'a str,
    /// Tokens and cost, if the provider has said.
    pub usage: Option<Usage>,
    /// Who paid.
    pub charge: Charge,
}

/// What a turn took: the metadata of `finish`, and of a `message-metadata` event before an `error` or an `abort`.
/// (`start` carries `model` alone.)
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct MessageMetadata<'a> {
    /// The model that answered.
    #[schema(example = "openai/gpt-5-mini")]
    model: &'a str,
    /// The provider's count, if it has said.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    usage: Option<TokenUsage>,
    /// What the provider charged, in US dollars, to whoever paid; if it has said.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, example = 0.000_15)]
    cost_usd: Option<f64>,
    #[schema(schema_with = paid_by)]
    paid_by: PaidBy,
    /// Credits that the turn cost: 0 if a key paid, or if the model said nothing.
    credits: u32,
    /// Credits that were left then of the day or the paid period that paid. Only if credits paid.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    credits_left: Option<u32>,
    /// The plan whose credits these are: whoever has bought one has those of `free` beside it. Only if
    /// credits paid.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, example = "free")]
    credits_plan: Option<&'a str>,
}

/// What was read and written, in tokens.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[expect(clippy::struct_field_names, reason = "the names on the wire")]
struct TokenUsage {
    /// The system prompt, what was said before, and the question.
    prompt_tokens: u32,
    /// The answer, reasoning included.
    completion_tokens: u32,
    /// Reasoning, of the answer's.
    reasoning_tokens: u32,
    /// What the provider had cached, of the prompt's.
    cached_tokens: u32,
}

/// The words of [`PaidBy`].
fn paid_by() -> Object {
    ObjectBuilder::new()
        .schema_type(Type::String)
        .enum_values(Some([PaidBy::Credits, PaidBy::Byok].map(|word| json!(word))))
        .description(Some("Who paid: the platform, for credits, or the user's own key."))
        .build()
}

impl<'a> From<&'a Took<'a>> for MessageMetadata<'a> {
    fn from(took: &'a Took<'a>) -> Self {
        let usage = took.usage.map(|usage| TokenUsage {
            prompt_tokens: usage.prompt_tokens,
            completion_tokens: usage.completion_tokens,
            reasoning_tokens: usage.reasoning_tokens,
            cached_tokens: usage.cached_tokens,
        });
        let (paid_by, credits, credits_left, credits_plan) = match &took.charge {
            Charge::Credits { credits, left, of } => {
                (PaidBy::Credits, *credits, Some(*left), Some(of.as_str()))
            }
            Charge::Byok => (PaidBy::Byok, 0, None, None),
        };
        let cost_usd = took.usage.and_then(|usage| usage.cost_nano_usd).map(usd);
        Self { model: took.model, usage, cost_usd, paid_by, credits, credits_left, credits_plan }
    }
}
