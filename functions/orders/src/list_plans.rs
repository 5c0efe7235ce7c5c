//! Lists the plans and their prices.

use axum::extract::State;
use axum::response::IntoResponse;
use http::header;
use serde::Serialize;
use shared_core::billing::{GrantInterval, Plan};
use shared_core::models::Tier;
use shared_http::{Json, PlanLimits};
use utoipa::ToSchema;

use crate::Deps;
use crate::body::Price;

/// Plans change with a deployment.
const CACHE_CONTROL: &str = "public, max-age=300";

/// All plans.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct PlanList {
    /// The plans, the cheapest first.
    items: Vec<PlanBody>,
    /// Null: there is one page.
    next_cursor: Option<String>,
    /// Whether plans can be bought here.
    for_sale: bool,
}

/// A plan.
#[derive(Serialize, ToSchema)]
#[schema(as = Plan)]
struct PlanBody {
    #[schema(example = "premium")]
    id: String,
    /// Display name.
    #[schema(example = "Premium")]
    name: String,
    /// What a period costs, or null: it is not sold.
    price: Option<Price>,
    /// The length of a period that is bought, or null.
    #[schema(example = 30)]
    days: Option<u32>,
    /// The credits of one grant.
    #[schema(example = 250)]
    credits: u32,
    /// How often they are granted: each `day`, or once for each `period`.
    #[schema(value_type = String, example = "period")]
    every: GrantInterval,
    /// The model tiers that it includes.
    #[schema(value_type = Vec<String>, example = json!(["free", "premium"]))]
    tiers: Vec<Tier>,
    limits: PlanLimits,
}

impl From<&Plan> for PlanBody {
    fn from(plan: &Plan) -> Self {
        let offer = plan.offer();
        Self {
            id: plan.id.as_str().to_owned(),
            name: plan.name.clone(),
            days: offer.as_ref().map(|offer| offer.days),
            price: offer.map(|offer| offer.price.into()),
            credits: plan.credits.get(),
            every: plan.every,
            tiers: plan.tiers.clone(),
            limits: plan.into(),
        }
    }
}

/// The plans
///
/// What each costs, grants and allows. Public.
#[utoipa::path(
    get, path = "/api/plans", tag = "billing",
    responses((status = 200, body = PlanList)),
    security(()),
)]
pub(crate) async fn list_plans(State(deps): State<Deps>) -> impl IntoResponse {
    let list = PlanList {
        items: deps.plans.all().map(PlanBody::from).collect(),
        next_cursor: None,
        for_sale: deps.billing.is_some(),
    };
    ([(header::CACHE_CONTROL, CACHE_CONTROL)], Json(list))
}
