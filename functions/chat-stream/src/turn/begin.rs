//! Begins a turn: stores its question, or finds that the request is a duplicate.

use std::borrow::Cow;
use std::ops::ControlFlow;
use std::pin::pin;

use axum::response::Response;
use futures_util::FutureExt as _;
use futures_util::future::{BoxFuture, Either, join, ready, select};
use shared_cache::{CacheError, Permit, Subject};
use shared_core::billing::{Plan, Plans};
use shared_core::chat::{NewTurn, SendError, TurnLookupError};
use shared_core::models::ModelPricing;
use shared_core::uploads::UploadError;
use shared_postgres::{BeginTurnError, BegunTurn};
use tokio::sync::oneshot;
use tokio::task::yield_now;

use super::TurnContext;
use super::deduplicate::resolve;
use super::files::TurnFiles;
use super::speculate::{Speculation, speculate};
use super::upstream::UpstreamRequest;
use crate::Deps;

/// How a request began a turn.
pub(super) enum Beginning {
    /// The question is stored and its answer is open.
    New(NewBeginning),
    /// A duplicate request: the stream of the turn that the first one began.
    Duplicate(Response),
}

/// A turn that has begun, and what was found out meanwhile.
pub(super) struct NewBeginning {
    pub(super) turn: Box<BegunTurn>,
    /// The user's rate limit permit.
    pub(super) permit: Result<Permit, CacheError>,
    /// Sent to the provider already, if the turn was predicted.
    pub(super) request: Option<UpstreamRequest>,
}

/// The turn that has begun, or the first turn's stream if the request is a duplicate.
pub(super) type Stored = Result<ControlFlow<Response, Box<BegunTurn>>, SendError>;

/// Makes one round trip to each system, concurrently.
///
/// Postgres' response begins with a prediction of the turn, on which the model is asked already.
pub(super) async fn begin(
    deps: &Deps,
    context: &TurnContext,
    turn: &NewTurn,
    files: &TurnFiles,
) -> Result<Beginning, SendError> {
    if !deps.openrouter.is_warm() {
        deps.tasks.spawn(deps.openrouter.clone().warm());
    }
    let user = Subject::User(context.session.user);
    let limits: Vec<_> = deps.plans.all().map(Plan::turn_limit).collect();
    let acquire = deps.cache.acquire_any(&user, "turns", &limits, context.now);
    let (predict, predicted) = oneshot::channel();
    let storing = async {
        // The command to the cache leaves first: its response is there by the time that Postgres has predicted the turn.
        yield_now().await;
        store_question(deps, context, turn, predict).await
    };
    let storing = storing.boxed();
    let (storing, (permit, predicted)) = meanwhile(storing, join(acquire, predicted)).await;
    let (stored, request) = match (&permit, predicted) {
        (Ok(permit), Ok(predicted)) => {
            let speculation = pin!(Speculation::new(deps, context, predicted, files, permit));
            speculate(deps, storing, speculation).await
        }
        (Err(_), _) | (_, Err(_)) => (storing.await, None),
    };
    match (stored, permit) {
        (Ok(ControlFlow::Continue(turn)), permit) => {
            Ok(Beginning::New(NewBeginning { turn, permit, request }))
        }
        (Ok(ControlFlow::Break(response)), permit) => {
            // A duplicate request does not count against the rate limit.
            if let Ok(permit) = permit {
                deps.cache.release(permit).await.ok();
            }
            Ok(Beginning::Duplicate(response))
        }
        // Refused turns keep their permit: a user over the rate limit gets that error instead.
        (Err(error), Ok(permit)) => Err(permit.allowed_by_any().err().map_or(error, Into::into)),
        (Err(error), Err(_)) => Err(error),
    }
}

/// Polls `work` to its end, and `waiting` meanwhile.
async fn meanwhile<'a, W, T>(
    waiting: BoxFuture<'a, W>,
    work: impl Future<Output = T>,
) -> (BoxFuture<'a, W>, T)
where
    W: Send + 'a,
{
    match select(waiting, pin!(work)).await {
        Either::Left((ended, work)) => (ready(ended).boxed(), work.await),
        Either::Right((result, waiting)) => (waiting, result),
    }
}

/// How often storing is tried: each retry acts on what the one before found, and none finds the same twice.
const TRIES: usize = 3;

/// Stores the question; breaks with the first turn's stream if the request is a duplicate.
///
/// An edit or a regeneration of a question that is not in the chat becomes a new question: its first request was
/// refused, and this is the client's retry. `predict` receives a prediction of the first try.
async fn store_question(
    deps: &Deps,
    context: &TurnContext,
    turn: &NewTurn,
    predict: oneshot::Sender<BegunTurn>,
) -> Stored {
    let database = deps.database.request(&context.session, context.now);
    let mut turn = Cow::Borrowed(turn);
    let mut predict = Some(predict);
    let mut tries = 1;
    loop {
        let error = match database.begin_turn(&turn, &deps.plans, predict.take()).await {
            Ok(begun) => return Ok(ControlFlow::Continue(begun.into())),
            Err(error) => error,
        };
        let retry = match &error {
            BeginTurnError::MessageNotFound => turn.as_new_question(),
            BeginTurnError::Duplicate | BeginTurnError::Running(_) => {
                match resolve(deps, context, &turn, &error).await? {
                    ControlFlow::Break(response) => return Ok(ControlFlow::Break(response)),
                    ControlFlow::Continue(retry) => Some(retry),
                }
            }
            BeginTurnError::ChatNotFound
            | BeginTurnError::MessageExists
            | BeginTurnError::UploadNotFound
            | BeginTurnError::UploadMissing
            | BeginTurnError::PaymentDenied(_)
            | BeginTurnError::Store(_) => None,
        };
        match retry {
            Some(retry) if tries < TRIES => turn = Cow::Owned(retry),
            Some(_) | None => return Err(send_error(error, turn.pricing, &deps.plans)),
        }
        tries += 1;
    }
}

fn send_error(error: BeginTurnError, pricing: ModelPricing, plans: &Plans) -> SendError {
    match error {
        BeginTurnError::ChatNotFound => TurnLookupError::ChatNotFound.into(),
        BeginTurnError::MessageNotFound => TurnLookupError::MessageNotFound.into(),
        BeginTurnError::MessageExists | BeginTurnError::Duplicate => SendError::MessageExists,
        BeginTurnError::Running(answer) => SendError::Running { answer },
        BeginTurnError::UploadNotFound => UploadError::NotFound.into(),
        BeginTurnError::UploadMissing => UploadError::Missing.into(),
        BeginTurnError::PaymentDenied(denied) => denied.with_upgrade_hint(pricing, plans),
        BeginTurnError::Store(error) => error.into(),
    }
}
