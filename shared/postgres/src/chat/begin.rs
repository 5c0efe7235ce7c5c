//! How a turn begins: the transaction before the model is asked. [`finish`](super::finish) has the one after.

use deadpool_postgres::Object;
use futures_util::future::try_join_all;
use jiff::Timestamp;
use serde::Serialize;
use shared_core::billing::Plans;
use shared_core::chat::{
    CONTEXT_MESSAGES, Context, FilePart, Message, NewTurn, ORPHANED_AFTER, Part, Placement,
    Question, Role, title_of,
};
use shared_core::idempotency_key::IdempotencyKey;
use shared_core::ids::{ChatId, MessageId};
use shared_core::limits::{Limit, LimitStatus};
use shared_core::store::StoreError;
use shared_core::uploads::{PENDING_FOR, UploadId};
use tokio::sync::oneshot;
use tokio_postgres::Row;
use tokio_postgres::types::{Json, ToSql};

use super::finish::FINISH;
use super::placement::PlacementFields;
use super::withdraw::{WITHDRAW, Withdrawal};
use crate::billing::payment::{PaymentDecision, PlanRules, plan_rules};
use crate::error::{BeginTurnError, DatabaseError};
use crate::{BegunTurn, Database, Request};

const BEGIN: &str = "
    select kind, body, encrypted_key
      from begin_turn($1, $2, $3, $4, $5)";

const PREDICT: &str = "
    select kind, body, encrypted_key
      from predict_turn($1, $2, $3, $4, $5)";

const REHEARSE: &str = "select rehearse_turn()";

/// For the limit on turns while the cache is away.
const COUNT_SINCE: &str = "
    select count(*) as turns, min(began_at) as oldest
      from turns
     where user_id = $1
       and began_at > $2
       and state <> 'withdrawn'";

/// The `turn` of `begin_turn` and `predict_turn`.
#[derive(Debug, Serialize)]
struct NewTurnFields<'a> {
    chat: &'a ChatId,
    title: String,
    answer: &'a MessageId,
    model: &'a str,
    #[serde(flatten)]
    placement: PlacementFields<'a>,
    parts: Vec<Part>,
    /// Left out if there are none: what they cost is paid by turns that have some.
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    files: &'a [UploadId],
    #[serde(skip_serializing_if = "Option::is_none")]
    uploads_expired_before: Option<Timestamp>,
    context_size: usize,
    price: u32,
    plan_rules: std::collections::BTreeMap<&'a str, PlanRules>,
    idempotency_key: Option<&'a str>,
    orphaned_before: Timestamp,
}

impl<'a> NewTurnFields<'a> {
    fn new(turn: &'a NewTurn, plans: &'a Plans, now: Timestamp) -> Self {
        let (context_size, files) = match &turn.placement {
            Placement::Append { .. } | Placement::Edit { .. } => (CONTEXT_MESSAGES, &*turn.files),
            // The question itself is read too, with the files that it has.
            Placement::Regenerate { .. } => (CONTEXT_MESSAGES + 1, &[][..]),
        };
        Self {
            chat: &turn.chat,
            title: title_of(turn.question.as_str()),
            answer: &turn.answer,
            model: turn.model.as_str(),
            placement: (&turn.placement).into(),
            parts: turn.question.to_parts(),
            files,
            uploads_expired_before: (!files.is_empty()).then(|| now - PENDING_FOR),
            context_size,
            price: turn.pricing.credits,
            plan_rules: plan_rules(turn, plans),
            idempotency_key: turn.idempotency_key.as_ref().map(IdempotencyKey::as_str),
            orphaned_before: now - ORPHANED_AFTER,
        }
    }
}

impl Request<'_> {
    /// Decides who pays, stores the question and an open answer, and reads the earlier messages: one transaction, one
    /// round trip. The rules that two concurrent turns could break are the database's: an id is used once, a credit is
    /// spent once, a message belongs to its chat and the chat's owner, and turns of one chat queue for its head.
    ///
    /// A chat has one turn at a time, and a turn begins once: a duplicate is [`BeginTurnError::Duplicate`],
    /// whatever else could be said against it, and [`Request::duplicate_of`] finds the turn that it repeats.
    ///
    /// Retry: a first attempt whose connection died may have been committed all the same, or may still be. It is withdrawn
    /// with the second attempt, or its credits would be reserved twice. The second answer has an id of its own.
    ///
    /// Prediction: `predicted` receives what the turn will probably be, as soon as that is read and before anything is
    /// stored; it is dropped instead if the turn will probably be refused. A prediction decides nothing:
    /// [`BegunTurn::has_same_input`] says whether it came true. It takes no further round trip.
    pub async fn begin_turn(
        &self,
        turn: &NewTurn,
        plans: &Plans,
        mut predicted: Option<oneshot::Sender<BegunTurn>>,
    ) -> Result<BegunTurn, BeginTurnError> {
        let (mut is_retry, second) = (false, &turn.retried());
        let begin = |client: Object| {
            let (is_retry, predicted) = (std::mem::replace(&mut is_retry, true), predicted.take());
            async move {
                if is_retry {
                    let first = Withdrawal::of_attempt(turn, self.session.user);
                    self.begin_again(&client, second, plans, &first).await
                } else {
                    self.begin_first(&client, turn, plans, predicted).await
                }
            }
        };
        let begun = self.database.retrying(begin).await.map_err(BeginTurnError::from);
        self.database.set_failing(match &begun {
            Err(BeginTurnError::Store(error)) => !matches!(error, StoreError::SessionEnded),
            Ok(_) | Err(_) => false,
        });
        begun
    }

    async fn begin_first(
        &self,
        client: &Object,
        turn: &NewTurn,
        plans: &Plans,
        predicted: Option<oneshot::Sender<BegunTurn>>,
    ) -> Result<BegunTurn, DatabaseError> {
        prepare(client, [PREDICT, BEGIN]).await?;
        let fields = Json(NewTurnFields::new(turn, plans, self.now));
        let predict = async {
            let rows = self.query_turn(client, PREDICT, &fields).await?;
            // While Postgres reads but cannot write, predictions do not come true.
            let predicted = predicted.filter(|_| !self.database.is_failing());
            if let (Some(predicted), Ok(turn)) = (predicted, self.read_turn(turn, &rows)) {
                let _ = predicted.send(turn);
            }
            Ok(())
        };
        self.begin_after(predict, client, turn, &fields).await
    }

    /// Withdraws the `first` attempt and begins the second in one transaction, so that the first cannot begin between
    /// the two: its statements may still be on their way.
    async fn begin_again(
        &self,
        client: &Object,
        turn: &NewTurn,
        plans: &Plans,
        first: &Withdrawal<'_>,
    ) -> Result<BegunTurn, DatabaseError> {
        prepare(client, [WITHDRAW, BEGIN]).await?;
        let fields = Json(NewTurnFields::new(turn, plans, self.now));
        let withdraw = || first.run(client, "unavailable", self.now);
        let begun = self.begin_after(withdraw(), client, turn, &fields).await;
        if begun.is_err() {
            // The refusal has rolled the withdrawal back.
            withdraw().await?;
        }
        begun
    }

    /// Runs `first` and then `begin_turn`, in one transaction and one write.
    async fn begin_after(
        &self,
        first: impl Future<Output = Result<(), DatabaseError>>,
        client: &Object,
        turn: &NewTurn,
        fields: &Json<NewTurnFields<'_>>,
    ) -> Result<BegunTurn, DatabaseError> {
        let (begun, first, rows, committed) = tokio::join!(
            biased;
            client.batch_execute("begin"),
            first,
            self.query_turn(client, BEGIN, fields),
            client.batch_execute("commit"),
        );
        // In the order of sending: the first error is the cause of those after it.
        begun?;
        first?;
        let turn = self.read_turn(turn, &rows?)?;
        committed?;
        Ok(turn)
    }

    /// Queries `begin_turn` or `predict_turn`. A statement that is prepared already is sent when this is first polled.
    async fn query_turn(
        &self,
        client: &Object,
        statement: &str,
        fields: &Json<NewTurnFields<'_>>,
    ) -> Result<Vec<Row>, DatabaseError> {
        let statement = client.prepare_cached(statement).await?;
        let (user, session, idle_since) = (self.session.user, self.session.id, self.idle_since());
        let params: &[&(dyn ToSql + Sync)] = &[&user.0, &session.0, &self.now, &idle_since, fields];
        Ok(client.query(&statement, params).await?)
    }

    /// Reads the rows of `begin_turn` or `predict_turn`.
    fn read_turn(&self, turn: &NewTurn, rows: &[Row]) -> Result<BegunTurn, DatabaseError> {
        let (payment, messages) =
            rows.split_first().ok_or_else(|| DatabaseError::unexpected("no payment"))?;
        let payment = PaymentDecision::read(payment)?;
        let Input { question, files, context } = input(turn, messages)?;
        Ok(BegunTurn {
            user: self.session.user,
            chat: turn.chat.clone(),
            answer: turn.answer.clone(),
            model: turn.model.clone(),
            question,
            files,
            context,
            plan: payment.plan,
            payer: payment.payer,
            began_at: self.now,
            placement: turn.placement.clone(),
        })
    }

    /// The status of the limit on turns after this one, counted by Postgres while the cache is away. Turns that are
    /// being stored at this moment are not counted, so a burst may pass.
    pub async fn turn_limit(&self, limit: Limit) -> Result<LimitStatus, StoreError> {
        let since = self.now - limit.window;
        let rows = self.query(COUNT_SINCE, &[&self.session.user.0, &since]).await?;
        let row = rows.first().ok_or_else(|| DatabaseError::unexpected("no count"))?;
        let (count, oldest) = count_and_oldest(row)?;
        let count = u32::try_from(count).unwrap_or(u32::MAX);
        let resets_at = oldest.unwrap_or(self.now) + limit.window;
        Ok(LimitStatus {
            limit,
            remaining: limit.count.saturating_sub(count),
            reset_after: resets_at.duration_since(self.now).unsigned_abs(),
            reached: count > limit.count,
        })
    }
}

/// Prepares statements, in one round trip.
async fn prepare<const COUNT: usize>(
    client: &Object,
    statements: [&str; COUNT],
) -> Result<(), DatabaseError> {
    try_join_all(statements.map(|statement| client.prepare_cached(statement))).await?;
    Ok(())
}

fn count_and_oldest(row: &Row) -> Result<(i64, Option<Timestamp>), DatabaseError> {
    Ok((row.try_get("turns")?, row.try_get("oldest")?))
}

impl Database {
    /// Connects, and prepares the statements of a turn and rehearses one, so that the first turn costs no more than
    /// others; unless a request waits for the connection already, which would take longer with a rehearsal than without.
    pub async fn warm_for_turns(self) -> Result<(), StoreError> {
        let client = self.connection().await?;
        if self.has_waiting_requests() {
            return Ok(());
        }
        prepare(&client, [PREDICT, BEGIN, FINISH]).await?;
        client.batch_execute(REHEARSE).await.map_err(DatabaseError::from)?;
        Ok(())
    }
}

/// What a prompt is made of.
struct Input {
    question: Question,
    files: Vec<FilePart>,
    context: Context,
}

fn input(turn: &NewTurn, rows: &[Row]) -> Result<Input, DatabaseError> {
    let mut context = Context::default();
    let mut is_stored_question = matches!(turn.placement, Placement::Regenerate { .. });
    let (mut question, mut files) = (turn.question.clone(), Vec::new());
    for row in rows {
        let parts = |role| -> Result<Message, DatabaseError> {
            Ok(Message { role, parts: row.try_get::<_, Json<Vec<Part>>>("body")?.0 })
        };
        let message = match row.try_get("kind")? {
            "user" => parts(Role::User)?,
            "assistant" => parts(Role::Assistant)?,
            "question" => {
                files = parts(Role::User)?.files().cloned().collect();
                continue;
            }
            _ => {
                context.summary = Some(row.try_get::<_, Json<String>>("body")?.0);
                continue;
            }
        };
        if std::mem::take(&mut is_stored_question) {
            files = message.files().cloned().collect();
            question = stored_question(&message)?;
        } else {
            context.messages.push(message);
        }
    }
    // The branch is read from its head upwards; a prompt reads downwards.
    context.messages.reverse();
    Ok(Input { question, files, context })
}

/// Within the limit of the day it was stored, whatever today's is; and empty, if it has files.
fn stored_question(message: &Message) -> Result<Question, DatabaseError> {
    let text = message.text();
    if text.is_empty() && message.files().next().is_some() {
        return Ok(Question::default());
    }
    DatabaseError::stored(Question::parse([text.as_str()], usize::MAX))
}
