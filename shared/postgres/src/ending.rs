//! How a turn ends: the transaction after the model has answered.

use jiff::Timestamp;
use shared_core::answer::{Answer, FinishReason, Usage};
use shared_core::credits::Charge;
use tokio_postgres::types::{Json, ToSql};

use crate::{BegunTurn, Database, Error, Payer, messages, provider_keys, turns};

/// Not through [`Request`](crate::Request): somebody who logs out while the model speaks still gets the
/// answer.
pub(crate) const BE_USER: &str = "select set_config('app.user_id', $1::uuid::text, true)";

/// How a turn ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The model was done.
    Complete,
    /// It broke off; the code says why.
    Failed {
        /// The same code as the client was given.
        code: &'static str,
        /// Whether it was because the provider refuses the user's own key, which nobody is to try again.
        refused_key: bool,
    },
}

/// What the last transaction stores.
#[derive(Clone, Copy, Debug)]
pub struct Ending<'a> {
    /// What was said, and what it took.
    pub answer: &'a Answer,
    /// How it ended.
    pub outcome: Outcome,
    /// When.
    pub at: Timestamp,
}

/// Whether an answer costs what was reserved for it: one that says nothing costs nothing.
fn has_price(answer: &Answer) -> bool {
    !answer.is_empty()
}

impl BegunTurn {
    /// What the turn costs if it ends with this answer.
    pub fn charge(&self, answer: &Answer) -> Charge {
        match &self.payer {
            Payer::Key(_) => Charge::Key,
            Payer::Credits { credits, left, of } => {
                let charged = if has_price(answer) { *credits } else { 0 };
                Charge::Credits {
                    credits: charged,
                    left: left + (credits - charged),
                    of: of.clone(),
                }
            }
        }
    }
}

/// What the provider has counted, as it is stored.
struct Counted {
    prompt_tokens: Option<i32>,
    completion_tokens: Option<i32>,
    reasoning_tokens: Option<i32>,
    cached_tokens: Option<i32>,
    cost: Option<i64>,
}

impl Counted {
    fn new(usage: Option<Usage>) -> Self {
        let tokens =
            |of: fn(Usage) -> u32| usage.map(|usage| i32::try_from(of(usage)).unwrap_or(i32::MAX));
        Self {
            prompt_tokens: tokens(|usage| usage.prompt_tokens),
            completion_tokens: tokens(|usage| usage.completion_tokens),
            reasoning_tokens: tokens(|usage| usage.reasoning_tokens),
            cached_tokens: tokens(|usage| usage.cached_tokens),
            cost: usage.and_then(|usage| usage.cost_nano_usd),
        }
    }

    fn params(&self) -> [&(dyn ToSql + Sync); 5] {
        let Self { prompt_tokens, completion_tokens, reasoning_tokens, cached_tokens, cost } = self;
        [prompt_tokens, completion_tokens, reasoning_tokens, cached_tokens, cost]
    }
}

impl Database {
    /// Stores the answer and what it took, closes it, and settles who pays: one transaction, on disk when
    /// it returns. A turn whose model said nothing costs nothing.
    pub async fn finish_turn(&self, turn: &BegunTurn, ending: Ending<'_>) -> Result<(), Error> {
        let Ending { answer, outcome, at } = ending;
        let (status, error_code, refused_key) = match outcome {
            Outcome::Complete => ("complete", None, None),
            Outcome::Failed { code, refused_key } => {
                ("failed", Some(code), turn.payer.key().filter(|_| refused_key))
            }
        };
        let id = turn.answer.as_str();
        let ended_as = if has_price(answer) { "settled" } else { "released" };
        let (parts, reason) =
            (Json(answer.parts()), answer.finish_reason().map(FinishReason::as_str));
        let (model, generation) = (answer.model(), answer.generation());
        let counted = Counted::new(answer.usage());
        let [prompt, completion, reasoning, cached, cost] = counted.params();
        let finished: &[&(dyn ToSql + Sync)] = &[
            &id,
            &status,
            &parts,
            &model,
            &generation,
            &reason,
            &error_code,
            prompt,
            completion,
            reasoning,
            cached,
            cost,
            &at,
        ];
        let ended: &[&(dyn ToSql + Sync)] =
            &[&id, &at, &ended_as, prompt, completion, reasoning, cached, cost];
        self.retrying(|client| async move {
            let (be_user, finish, end, mark) = tokio::try_join!(
                biased;
                client.prepare_cached(BE_USER),
                client.prepare_cached(messages::FINISH),
                client.prepare_cached(turns::END),
                async {
                    match refused_key {
                        Some(key) => Ok(Some((client.prepare_cached(provider_keys::MARK_REFUSED).await?, key))),
                        None => Ok(None),
                    }
                },
            )?;
            let mark_refused = async {
                let Some((mark, key)) = &mark else { return Ok(0) };
                client.execute(mark, &[&turn.user.0, &key.sealed.nonce.as_slice(), &at]).await
            };
            let (begun, known, finished, ended, marked, committed) = tokio::join!(
                biased;
                client.batch_execute("begin"),
                async { client.execute(&be_user, &[&turn.user.0]).await },
                client.execute(&finish, finished),
                client.execute(&end, ended),
                mark_refused,
                client.batch_execute("commit"),
            );
            // In the order in which they were sent: the first that failed says why.
            begun?;
            known?;
            let finished = finished?;
            ended?;
            marked?;
            committed?;
            if finished == 1 { Ok(()) } else { Err(Error::AnswerNotOpen) }
        })
        .await
    }
}
