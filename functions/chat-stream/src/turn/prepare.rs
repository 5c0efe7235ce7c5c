//! Prepares the request to the model: checks what Postgres does not, the plan's limits, and decrypts the
//! user's own key.

use shared_cache::{CacheError, Permit};
use shared_core::billing::{Plan, TurnDenied, Upgrade};
use shared_core::chat::{PromptMessage, SendError, estimated_tokens, prompt};
use shared_core::keys::ProviderKey;
use shared_core::store::StoreError;
use shared_http::RateLimitHeaders;
use shared_postgres::{BegunTurn, Request};

use super::byok::decrypt_key;
use crate::Deps;

/// The input of a request to the model.
pub(super) struct Input {
    pub(super) prompt: Vec<PromptMessage>,
    /// The user's own key (BYOK), for this turn only.
    pub(super) key: Option<ProviderKey>,
    pub(super) rate_limit: RateLimitHeaders,
}

/// Checks whether the turn may be sent. `permit` is the cache's result from while Postgres began the turn.
pub(super) async fn prepare_input(
    deps: &Deps,
    database: &Request<'_>,
    begun: &BegunTurn,
    permit: Result<Permit, CacheError>,
) -> Result<Input, SendError> {
    let plan = deps.plans.of(Some(&begun.plan));
    let rate_limit = within_limit(deps, database, plan, permit).await?;
    let prompt = prompt(&deps.config.system_prompt, &begun.context, &begun.question);
    within_context(deps, plan, &prompt)?;
    let key = match begun.payer.key() {
        Some(key) => Some(decrypt_key(deps, begun, key).await?),
        None => None,
    };
    Ok(Input { prompt, key, rate_limit })
}

async fn within_limit(
    deps: &Deps,
    database: &Request<'_>,
    plan: &Plan,
    permit: Result<Permit, CacheError>,
) -> Result<RateLimitHeaders, SendError> {
    let limit = plan.turn_limit();
    let permit = match permit {
        Ok(permit) => permit,
        Err(error) => {
            tracing::warn!(%error, "without the cache, postgres counts turns");
            let status = database.turn_limit(limit).await?;
            status.allowed()?;
            return Ok(status.into());
        }
    };
    let own = permit.statuses().iter().find(|status| status.limit == limit).copied();
    let status = own.ok_or_else(|| StoreError::Unavailable("a plan without a limit".into()))?;
    if let Err(reached) = status.allowed() {
        // A refused turn does not count; if the cache is unavailable now, it counts for a minute.
        deps.cache.release(permit).await.ok();
        return Err(reached.into());
    }
    Ok(status.into())
}

fn within_context(deps: &Deps, plan: &Plan, prompt: &[PromptMessage]) -> Result<(), SendError> {
    let (tokens, limit) = (estimated_tokens(prompt), plan.context_tokens.get());
    if tokens <= limit {
        return Ok(());
    }
    let upgrade =
        deps.plans.all().find(|plan| plan.context_tokens.get() >= tokens).map(Upgrade::to);
    Err(TurnDenied::ContextTooLarge { tokens, limit, upgrade }.into())
}
