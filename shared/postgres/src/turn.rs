//! How a turn begins: the transaction before the model is asked. `ending.rs` has the one after.

use std::sync::atomic::{AtomicBool, Ordering};

use deadpool_postgres::Object;
use jiff::Timestamp;
use shared_core::catalogue::ModelId;
use shared_core::chat::{CONTEXT_MESSAGES, Context, Message, Part, Role, title_of};
use shared_core::credits::ORPHANED_AFTER;
use shared_core::ids::{ChatId, MessageId, UserId};
use shared_core::limits::{Limit, LimitStatus};
use shared_core::plans::{PlanId, Plans};
use shared_core::turn::{IdempotencyKey, NewTurn, Placement, Question};
use tokio_postgres::Row;
use tokio_postgres::types::{Json, ToSql};

use crate::finish::{BE_USER, FINISH};
use crate::payment::{PaymentDecision, plan_rules};
use crate::withdrawal::Withdrawal;
use crate::{Database, DatabaseError, Payer, Request, messages, turns};

/// A turn whose question is stored and whose answer is open.
#[derive(Clone, Debug)]
pub struct BegunTurn {
    /// Whose turn it is.
    pub user: UserId,
    /// The chat.
    pub chat: ChatId,
    /// The open answer.
    pub answer: MessageId,
    /// The model that is asked.
    pub model: ModelId,
    /// What was asked; for another answer to an old question, as it was stored.
    pub question: Question,
    /// What was said before.
    pub context: Context,
    /// The user's plan.
    pub plan: PlanId,
    /// Who pays.
    pub payer: Payer,
    /// When it began.
    pub began_at: Timestamp,
    /// Where it went, for taking it back.
    pub(crate) place: Placement,
}

impl Request<'_> {
    /// Finds who pays, stores the question and an open answer, and reads what was said before: one
    /// statement, one round trip. The rules that two at once could break are the database's: an id is
    /// used once, a credit is spent once, a message is tied to its chat and the chat's owner, and turns
    /// of one chat queue for its head.
    ///
    /// A chat has one turn at a time, and the same turn begins once: one that has begun is
    /// [`DatabaseError::DuplicateTurn`], whatever else could be said against it, and
    /// [`Request::duplicate_of`] knows it.
    ///
    /// A first try whose connection died may have been heard all the same: it is taken back before the
    /// second, or its credits would be reserved twice. The second answer has an id of its own.
    pub async fn begin_turn(
        &self,
        turn: &NewTurn,
        plans: &Plans,
    ) -> Result<BegunTurn, DatabaseError> {
        let (is_tried, second) = (&AtomicBool::new(false), &turn.tried_again());
        let begin = |client: Object| async move {
            if !is_tried.swap(true, Ordering::Relaxed) {
                return self.begin_on(&client, turn, plans).await;
            }
            let first = Withdrawal::of_tried(turn, self.session.user);
            first.run(&client, "unavailable", self.now).await?;
            self.begin_on(&client, second, plans).await
        };
        self.database.retrying(begin).await
    }

    async fn begin_on(
        &self,
        client: &Object,
        turn: &NewTurn,
        plans: &Plans,
    ) -> Result<BegunTurn, DatabaseError> {
        let begin = client.prepare_cached(messages::BEGIN_TURN).await?;
        let (place, question, displaced_id) = columns(&turn.place);
        let context_size = match &turn.place {
            Placement::Append { .. } | Placement::Edit { .. } => CONTEXT_MESSAGES,
            // The question itself is read too.
            Placement::Regenerate { .. } => CONTEXT_MESSAGES + 1,
        };
        let user = self.session.user;
        let params: &[&(dyn ToSql + Sync)] = &[
            &user.0,
            &self.session.id.0,
            &self.now,
            &self.idle_since(),
            &turn.chat.as_str(),
            &title_of(turn.question.as_str()),
            &place,
            &question.as_str(),
            &displaced_id,
            &Json(turn.question.to_parts()),
            &turn.answer.as_str(),
            &turn.model.as_str(),
            &i32::try_from(context_size).unwrap_or(i32::MAX),
            &i32::try_from(turn.pricing.credits).unwrap_or(i32::MAX),
            &Json(plan_rules(turn, plans)),
            &turn.idempotency_key.as_ref().map(IdempotencyKey::as_str),
            &(self.now - ORPHANED_AFTER),
        ];
        let rows = client.query(&begin, params).await?;
        let (paid, said) =
            rows.split_first().ok_or_else(|| DatabaseError::unexpected("no decision"))?;
        let decision = PaymentDecision::read(paid)?;
        let (question, context) = question_and_context(turn, said)?;
        Ok(BegunTurn {
            user,
            chat: turn.chat.clone(),
            answer: turn.answer.clone(),
            model: turn.model.clone(),
            question,
            context,
            plan: decision.plan,
            payer: decision.payer,
            began_at: self.now,
            place: turn.place.clone(),
        })
    }

    /// How the limit on turns stands after this one, as Postgres can tell it: for the time when the cache
    /// is away. Turns that are being stored at this moment are not seen, so a burst may pass.
    pub async fn turn_limit(&self, limit: Limit) -> Result<LimitStatus, DatabaseError> {
        let since = self.now - limit.window;
        let rows = self.query(turns::COUNT_SINCE, &[&self.session.user.0, &since]).await?;
        let row = rows.first().ok_or_else(|| DatabaseError::unexpected("no count"))?;
        let (count, oldest): (i64, Option<Timestamp>) = (row.try_get(0)?, row.try_get(1)?);
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

impl Database {
    /// Connects and prepares what a turn will need, so that the first one costs no more than others.
    pub async fn warm_for_turns(self) -> Result<(), DatabaseError> {
        let client = self.connection().await?;
        tokio::try_join!(
            biased;
            client.prepare_cached(messages::BEGIN_TURN),
            client.prepare_cached(BE_USER),
            client.prepare_cached(FINISH),
        )?;
        Ok(())
    }
}

/// A place as the functions in SQL are given it: the word for it, the question, and the id under which the
/// replaced question steps aside.
pub(crate) fn columns(place: &Placement) -> (&'static str, &MessageId, Option<&str>) {
    match place {
        Placement::Append { question } => ("next", question, None),
        Placement::Edit { question, displaced_id } => {
            ("instead", question, Some(displaced_id.as_str()))
        }
        Placement::Regenerate { question } => ("again", question, None),
    }
}

fn question_and_context(
    turn: &NewTurn,
    rows: &[Row],
) -> Result<(Question, Context), DatabaseError> {
    let mut context = Context::default();
    let mut again = matches!(turn.place, Placement::Regenerate { .. });
    let mut question = turn.question.clone();
    for row in rows {
        let role = match row.try_get(0)? {
            "user" => Role::User,
            "assistant" => Role::Assistant,
            _ => {
                context.summary = Some(row.try_get::<_, Json<String>>(1)?.0);
                continue;
            }
        };
        let message = Message { role, parts: row.try_get::<_, Json<Vec<Part>>>(1)?.0 };
        if std::mem::take(&mut again) {
            // A question that is stored was within the limit of its day.
            question = Question::parse([message.text().as_str()], usize::MAX)
                .map_err(|error| DatabaseError::Unavailable(error.into()))?;
        } else {
            context.messages.push(message);
        }
    }
    // The branch is walked upwards; people read downwards.
    context.messages.reverse();
    Ok((question, context))
}
