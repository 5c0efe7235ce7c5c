//! The list of models, for users to choose from. Public, so that the CDN can cache it.

use axum::extract::State;
use axum::response::IntoResponse;
use http::header;
use serde::Serialize;
use shared_core::models::{OfferedModel, Tier};
use shared_http::{ApiError, ErrorBody, Json};
use utoipa::ToSchema;

use crate::Deps;

/// The offered models.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ModelList {
    /// The models, in the operator's order.
    items: Vec<ModelItem>,
    /// The model of a turn that names none.
    default_model: String,
    /// Always null: the list is one page.
    next_cursor: Option<String>,
}

/// A model.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ModelItem {
    /// The model's id, as a turn names it.
    #[schema(example = "anthropic/claude-sonnet-4.5")]
    id: String,
    /// Display name.
    name: String,
    /// Context window: tokens of conversation and answer together.
    context_length: u64,
    /// Its input and output.
    modalities: Modalities,
    /// Whether it can show its reasoning.
    reasoning: bool,
    /// The provider's price.
    price: Price,
    /// Tier of the plans that include it: `free` means every plan.
    #[schema(value_type = String, example = "free")]
    tier: Tier,
    /// Credits that one turn costs, if it is paid with credits.
    #[schema(example = 1)]
    credits: u32,
}

/// A model's input and output.
#[derive(Serialize, ToSchema)]
pub(crate) struct Modalities {
    /// Such as `text`, `image`, `file`.
    input: Vec<String>,
    /// Such as `text`, `image`.
    output: Vec<String>,
}

/// US dollars per token, as decimal text.
#[derive(Serialize, ToSchema)]
pub(crate) struct Price {
    /// Per token of conversation.
    #[schema(example = "0.000003")]
    prompt: String,
    /// Per token of answer.
    #[schema(example = "0.000015")]
    completion: String,
}

/// List the offered models
#[utoipa::path(
    get, path = "/api/models", tag = "chat",
    responses(
        (status = 200, body = ModelList),
        (status = 503, body = ErrorBody, description = "`models_unavailable`, with `retry-after`"),
    ),
    security()
)]
pub(crate) async fn models(State(deps): State<Deps>) -> Result<impl IntoResponse, ApiError> {
    let models = deps.catalogue.models(deps.app.clock().now()).await?;
    let list = ModelList {
        items: models.iter().map(item).collect(),
        default_model: deps.catalogue.default_model().to_string(),
        next_cursor: None,
    };
    Ok(([(header::CACHE_CONTROL, "public, max-age=300")], Json(list)))
}

fn item(OfferedModel { pricing, model }: &OfferedModel) -> ModelItem {
    ModelItem {
        id: model.id.to_string(),
        name: model.name.clone(),
        context_length: model.context_length,
        modalities: Modalities {
            input: model.input_modalities.clone(),
            output: model.output_modalities.clone(),
        },
        reasoning: model.reasoning,
        price: Price {
            prompt: model.prompt_price.clone(),
            completion: model.completion_price.clone(),
        },
        tier: pricing.tier,
        credits: pricing.credits,
    }
}
