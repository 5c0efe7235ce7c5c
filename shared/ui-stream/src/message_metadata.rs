//! A turn's usage and charge, in the frames of its stream.

use serde::Serialize;
use serde_json::json;
use shared_core::billing::{Charge, PaidBy, usd};
use shared_core::chat::Usage;
use utoipa::ToSchema;
use utoipa::openapi::{Object, ObjectBuilder, Type};

/// The summary of a turn: its model, usage and charge.
#[derive(Clone, Debug)]
pub struct TurnSummary<'a> {
    /// The model that answered.
    pub model: &'a str,
    /// Tokens and cost, if the provider has reported them.
    pub usage: Option<Usage>,
    /// Who paid.
    pub charge: Charge,
}

/// A turn's usage and charge: the metadata of `finish`, and of a `message-metadata` event before an
/// `error` or an `abort`. (`start` carries `model` alone.)
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct MessageMetadata<'a> {
    /// The model that answered.
    #[schema(example = "openai/gpt-5-mini")]
    model: &'a str,
    /// The provider's token count, if it has reported one.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    usage: Option<TokenUsage>,
    /// The provider's charge in US dollars, to the platform or to the user's own key; if it has reported one.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, example = 0.000_15)]
    cost_usd: Option<f64>,
    #[schema(schema_with = paid_by)]
    paid_by: PaidBy,
    /// Credits that the turn cost: 0 if the user's own key paid, or if the model produced nothing.
    credits: u32,
    /// Credits left after the turn, of the day or the paid period that paid. Only if credits paid.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    credits_left: Option<u32>,
    /// The plan whose credits paid: a user who has bought one also has those of `free`. Only if credits
    /// paid.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, example = "free")]
    credits_plan: Option<&'a str>,
}

/// The tokens of a turn.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[expect(clippy::struct_field_names, reason = "the names on the wire")]
struct TokenUsage {
    /// The system prompt, the messages before, and the question.
    prompt_tokens: u32,
    /// The answer, including reasoning.
    completion_tokens: u32,
    /// Reasoning: part of `completionTokens`.
    reasoning_tokens: u32,
    /// Tokens that the provider had cached: part of `promptTokens`.
    cached_tokens: u32,
}

/// The values of [`PaidBy`].
fn paid_by() -> Object {
    ObjectBuilder::new()
        .schema_type(Type::String)
        .enum_values(Some([PaidBy::Credits, PaidBy::Byok].map(|word| json!(word))))
        .description(Some("Who paid: the platform, for credits, or the user's own key."))
        .build()
}

impl<'a> From<&'a TurnSummary<'a>> for MessageMetadata<'a> {
    fn from(summary: &'a TurnSummary<'a>) -> Self {
        let usage = summary.usage.map(|usage| TokenUsage {
            prompt_tokens: usage.prompt_tokens,
            completion_tokens: usage.completion_tokens,
            reasoning_tokens: usage.reasoning_tokens,
            cached_tokens: usage.cached_tokens,
        });
        let (paid_by, credits, credits_left, credits_plan) = match &summary.charge {
            Charge::Credits { credits, left, of } => {
                (PaidBy::Credits, *credits, Some(*left), Some(of.as_str()))
            }
            Charge::Byok => (PaidBy::Byok, 0, None, None),
        };
        let cost_usd = summary.usage.and_then(|usage| usage.cost_nano_usd).map(usd);
        Self { model: summary.model, usage, cost_usd, paid_by, credits, credits_left, credits_plan }
    }
}
