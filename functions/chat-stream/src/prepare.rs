//! Prepares the request to the model: checks what Postgres does not, the plan's limits, and decrypts the
//! user's own key.

use shared_cache::{CacheError, Permit};
use shared_core::credits::{TurnDenied, Upgrade};
use shared_core::keys::ProviderKey;
use shared_core::plans::Plan;
use shared_core::prompt::{PromptMessage, estimated_tokens, prompt};
use shared_core::turn::TurnError;
use shared_http::RateLimit;
use shared_postgres::{BegunTurn, Request};

use crate::Deps;
use crate::byok::opened;

/// The input of a request to the model.
pub(crate) struct Ready {
    pub(crate) prompt: Vec<PromptMessage>,
    /// The user's own key (BYOK), for this turn only.
    pub(crate) key: Option<ProviderKey>,
    pub(crate) rate_limit: RateLimit,
}

/// Checks whether the turn may be sent. `permit` is the cache's result from while Postgres began the turn.
pub(crate) async fn ready(
    deps: &Deps,
    database: &Request<'_>,
    begun: &BegunTurn,
    permit: Result<Permit, CacheError>,
) -> Result<Ready, TurnError> {
    let plan = deps.plans.of(Some(&begun.plan));
    let rate_limit = within_limit(deps, database, plan, permit).await?;
    let prompt = prompt(&deps.config.system_prompt, &begun.context, &begun.question);
    within_context(deps, plan, &prompt)?;
    let key = match begun.payer.key() {
        Some(key) => Some(opened(deps, begun, key).await?),
        None => None,
    };
    Ok(Ready { prompt, key, rate_limit })
}

async fn within_limit(
    deps: &Deps,
    database: &Request<'_>,
    plan: &Plan,
    permit: Result<Permit, CacheError>,
) -> Result<RateLimit, TurnError> {
    let limit = plan.turn_limit();
    let permit = match permit {
        Ok(permit) => permit,
        Err(error) => {
            tracing::warn!(%error, "without the cache, postgres counts turns");
            let status = database.turn_limit(limit).await;
            let status = status.map_err(|error| TurnError::Unavailable(error.into()))?;
            status.allowed()?;
            return Ok(status.into());
        }
    };
    let own = permit.statuses().iter().find(|status| status.limit == limit).copied();
    let status = own.ok_or_else(|| TurnError::Unavailable("a plan without a limit".into()))?;
    if let Err(reached) = status.allowed() {
        // A refused turn does not count; if the cache is unavailable now, it counts for a minute.
        deps.cache.release(permit).await.ok();
        return Err(reached.into());
    }
    Ok(status.into())
}

fn within_context(deps: &Deps, plan: &Plan, prompt: &[PromptMessage]) -> Result<(), TurnError> {
    let (tokens, limit) = (estimated_tokens(prompt), plan.context_tokens.get());
    if tokens <= limit {
        return Ok(());
    }
    let upgrade =
        deps.plans.all().find(|plan| plan.context_tokens.get() >= tokens).map(Upgrade::to);
    Err(TurnDenied::ContextTooLarge { tokens, limit, upgrade }.into())
}
