//! The request of a turn to the provider.

use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use shared_core::keys::ProviderKey;
use shared_core::models::ModelError;
use shared_http::RateLimitHeaders;
use shared_openrouter::{CompletionRequest, ModelStream};
use shared_postgres::BegunTurn;

use super::TurnContext;
use super::prepare::Input;
use crate::Deps;

/// A request to the provider. Dropping it cancels it there.
pub(super) struct UpstreamRequest {
    /// Becomes headers of the turn's response.
    pub(super) rate_limit: RateLimitHeaders,
    /// Ready once the provider has accepted or refused the request, which is sent when this is first polled.
    pub(super) response: BoxFuture<'static, UpstreamResponse>,
}

/// The provider's response to a request.
pub(super) struct UpstreamResponse {
    pub(super) accepted: Result<ModelStream, ModelError>,
    /// The user's own key (BYOK), if the request was sent with it.
    pub(super) key: Option<ProviderKey>,
}

impl UpstreamRequest {
    pub(super) fn new(deps: &Deps, context: &TurnContext, turn: &BegunTurn, input: Input) -> Self {
        let Input { prompt, key, rate_limit } = input;
        let (openrouter, model) = (deps.openrouter.clone(), turn.model.clone());
        let (user, trace) = (context.session.user, context.trace);
        let pdf_engine = deps.config.pdf_engine;
        let has_pdf = prompt.iter().any(|message| message.content.has_pdf());
        let send = async move {
            let request = CompletionRequest {
                model: &model,
                messages: &prompt,
                user,
                trace,
                pdf_engine: has_pdf.then_some(pdf_engine),
                key: key.as_ref(),
            };
            UpstreamResponse { accepted: openrouter.complete(&request).await, key }
        };
        Self { rate_limit, response: send.boxed() }
    }
}
