//! Prepares the request to the model: checks what Postgres does not, the plan's limits, and decrypts the
//! user's own key.

use shared_cache::{CacheError, Permit};
use shared_core::billing::{Plan, TurnDenied, Upgrade};
use shared_core::chat::{FileContents, PromptMessage, SendError, least_tokens, prompt};
use shared_core::keys::ProviderKey;
use shared_core::limits::{Limit, LimitStatus};
use shared_core::store::StoreError;
use shared_http::RateLimitHeaders;
use shared_postgres::BegunTurn;

use super::TurnContext;
use super::byok::decrypt_key;
use super::files::TurnFiles;
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
    context: &TurnContext,
    begun: &BegunTurn,
    files: &TurnFiles,
    permit: Result<Permit, CacheError>,
) -> Result<Input, SendError> {
    let limit = deps.plans.of(Some(&begun.plan)).turn_limit();
    let status = within_limit(deps, context, limit, permit).await?;
    input(deps, begun, files, status).await
}

/// The input of a predicted turn, if nothing stands against sending it. A refusal is left to
/// [`prepare_input`], once the turn has begun.
pub(super) async fn predicted_input(
    deps: &Deps,
    predicted: &BegunTurn,
    files: &TurnFiles,
    permit: &Permit,
) -> Option<Input> {
    let limit = deps.plans.of(Some(&predicted.plan)).turn_limit();
    let status = permit.status_of(limit)?;
    status.allowed().ok()?;
    input(deps, predicted, files, status).await.ok()
}

async fn input(
    deps: &Deps,
    turn: &BegunTurn,
    files: &TurnFiles,
    status: LimitStatus,
) -> Result<Input, SendError> {
    let BegunTurn { context, question, .. } = turn;
    let system = &deps.config.system_prompt;
    let build = |contents: &_| prompt(system, context, question, &turn.files, contents);
    let mut prompt = build(&FileContents::new());
    // Before anything is read of what will not be sent.
    let tokens = least_tokens(&prompt, &turn.files);
    let room = within_context(deps, deps.plans.of(Some(&turn.plan)), tokens)?;
    let contents = files.contents(deps, turn, room).await?;
    if !contents.is_empty() {
        prompt = build(&contents);
    }
    let key = match turn.payer.key() {
        Some(key) => Some(decrypt_key(deps, turn.user, key).await?),
        None => None,
    };
    Ok(Input { prompt, key, rate_limit: status.into() })
}

async fn within_limit(
    deps: &Deps,
    context: &TurnContext,
    limit: Limit,
    permit: Result<Permit, CacheError>,
) -> Result<LimitStatus, SendError> {
    let permit = match permit {
        Ok(permit) => permit,
        Err(error) => {
            tracing::warn!(%error, "without the cache, postgres counts turns");
            let database = deps.database.request(&context.session, context.now);
            let status = database.turn_limit(limit).await?;
            status.allowed()?;
            return Ok(status);
        }
    };
    let status = permit.status_of(limit);
    let status = status.ok_or_else(|| StoreError::Unavailable("a plan without a limit".into()))?;
    if let Err(reached) = status.allowed() {
        // A refused turn does not count; if the cache is unavailable now, it counts for a minute.
        deps.cache.release(permit).await.ok();
        return Err(reached.into());
    }
    Ok(status)
}

/// The tokens that the plan leaves beside these.
fn within_context(deps: &Deps, plan: &Plan, tokens: u32) -> Result<u32, SendError> {
    let limit = plan.context_tokens.get();
    if let Some(room) = limit.checked_sub(tokens) {
        return Ok(room);
    }
    let upgrade =
        deps.plans.all().find(|plan| plan.context_tokens.get() >= tokens).map(Upgrade::to);
    Err(TurnDenied::ContextTooLarge { tokens, limit, upgrade }.into())
}
