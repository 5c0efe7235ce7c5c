//! Uploads: reserved, completed, attached, deleted and removed.

#![expect(clippy::unwrap_used, reason = "a test stops where it breaks")]

use std::collections::BTreeMap;
use std::num::NonZeroU32;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use futures_util::future::join_all;
use serde_json::Value;
use shared_core::chat::Placement;
use shared_core::identity::Session;
use shared_core::uploads::{
    FileType, Filename, InspectedFile, NewUpload, Sha256Digest, UploadId, UploadState,
};
use shared_postgres::{
    BegunTurn, DatabaseConfig, DueUpload, Jobs, NewUploadLimits, Reservation, UploadLimits,
};
use testkit::{ReadyFile, TestStack, message_id, new_turn};
use uuid::Uuid;

const FOUND: InspectedFile = InspectedFile {
    media_type: "image/png",
    dimensions: Some((4, 3)),
    pages: None,
    model_media_type: "image/jpeg",
    model_bytes: 9,
    tokens: 7,
};

fn upload(size: u64) -> NewUpload {
    static MADE: AtomicU64 = AtomicU64::new(1);
    let number = MADE.fetch_add(1, Ordering::Relaxed);
    NewUpload {
        id: UploadId(Uuid::from_u64_pair(0, number)),
        filename: Filename::clean("ship.png"),
        file_type: FileType::parse("image/png").unwrap(),
        size,
        sha256: Sha256Digest([7; 32]),
    }
}

/// Limits of `free` and `premium`, in bytes and uploads an hour.
fn limits(
    stack: &TestStack,
    free: UploadLimits,
    premium: UploadLimits,
) -> NewUploadLimits<'static> {
    let counted_since = stack.clock.now() - Duration::from_hours(1);
    NewUploadLimits {
        plan_limits: BTreeMap::from([("free", free), ("premium", premium)]),
        counted_since,
    }
}

const fn limit(file_bytes: u64, stored_bytes: u64, uploads: Option<u32>) -> UploadLimits {
    UploadLimits { file_bytes, stored_bytes, is_reached: false, uploads }
}

/// Reserves under these limits of `free`, or ten times as much of `premium`.
async fn reserve(
    stack: &TestStack,
    session: &Session,
    upload: &NewUpload,
) -> (String, Reservation) {
    let limits = limits(stack, limit(10, 30, Some(5)), limit(100, 300, Some(50)));
    let database = stack.database();
    let request = database.request(session, stack.clock.now());
    let (plan, reservation) = request.reserve_upload(upload, &limits).await.unwrap();
    (plan.to_string(), reservation)
}

async fn complete(
    stack: &TestStack,
    session: &Session,
    id: UploadId,
    found: &InspectedFile,
) -> Option<u32> {
    let database = stack.database();
    let completed = database.request(session, stack.clock.now()).complete_upload(id, found).await;
    let completed = completed.unwrap()?.upload;
    assert_eq!(completed.state, UploadState::Ready);
    completed.dimensions.map(|(width, _)| width)
}

async fn delete(stack: &TestStack, session: &Session, id: UploadId) -> bool {
    let database = stack.database();
    database.request(session, stack.clock.now()).delete_upload(id).await.unwrap()
}

/// Asks a question with these files, as the first of a chat.
async fn ask(
    stack: &TestStack,
    session: &Session,
    name: &str,
    files: &[UploadId],
) -> Option<BegunTurn> {
    let place = Placement::Append { question: message_id(&format!("{name}-question")) };
    let mut turn = new_turn(&format!("{name}-chat"), place, &format!("{name}-answer"));
    turn.files = files.to_vec();
    let (database, now) = (stack.database(), stack.clock.now());
    database.request(session, now).begin_turn(&turn, &stack.plans(), None).await.ok()
}

async fn value<T: for<'a> tokio_postgres::types::FromSql<'a>>(stack: &TestStack, sql: &str) -> T {
    stack.owner().await.query_one(sql, &[]).await.unwrap().get(0)
}

async fn as_owner(stack: &TestStack, sql: &str) {
    stack.owner().await.batch_execute(sql).await.unwrap();
}

fn jobs(stack: &TestStack) -> Jobs {
    Jobs::new(&DatabaseConfig::at(&stack.owner_url()), stack.clock.clock()).unwrap()
}

#[tokio::test]
async fn a_reservation_that_is_repeated_reserves_once() {
    let stack = TestStack::start().await;
    let ada = stack.session("ada@example.com").await;
    let upload = upload(10);
    let reserved = ("free".to_owned(), Reservation::Reserved);
    assert_eq!(reserve(&stack, &ada, &upload).await, reserved);
    // Also once it would not fit any more.
    for _ in 0..3 {
        assert_eq!(reserve(&stack, &ada, &upload).await, reserved);
    }
    assert_eq!(stack.stored_bytes(&ada).await, 10);
    let at_once = (0..10).map(|_| reserve(&stack, &ada, &upload));
    assert!(
        join_all(at_once)
            .await
            .iter()
            .all(|(_, reservation)| *reservation == Reservation::Reserved)
    );
    assert_eq!(value::<i64>(&stack, "select count(*) from uploads").await, 1);
}

#[tokio::test]
async fn a_reservation_obeys_the_limits_of_the_plan_of_that_moment() {
    let stack = TestStack::start().await;
    let ada = stack.session("ada@example.com").await;
    let refused = reserve(&stack, &ada, &upload(11)).await;
    assert_eq!(refused, ("free".to_owned(), Reservation::TooLarge));
    stack.premium(&ada).await;
    let reserved = reserve(&stack, &ada, &upload(11)).await;
    assert_eq!(reserved, ("premium".to_owned(), Reservation::Reserved));
    for _ in 0..2 {
        reserve(&stack, &ada, &upload(100)).await;
    }
    let refused = reserve(&stack, &ada, &upload(90)).await;
    assert_eq!(refused, ("premium".to_owned(), Reservation::StorageFull { used_bytes: 211 }));
    assert_eq!(reserve(&stack, &ada, &upload(89)).await.1, Reservation::Reserved);
    // A plan that the table of plans does not have any more.
    as_owner(&stack, "update entitlements set plan = 'gold'").await;
    let refused = reserve(&stack, &ada, &upload(1)).await;
    assert_eq!(refused, ("free".to_owned(), Reservation::StorageFull { used_bytes: 300 }));
    assert_eq!(stack.stored_bytes(&ada).await, 300);
}

#[tokio::test]
async fn postgres_counts_the_uploads_since_a_time_and_says_which_is_the_oldest() {
    let stack = TestStack::start().await;
    let ada = stack.session("ada@example.com").await;
    let began = stack.clock.now();
    for _ in 0..5 {
        assert_eq!(reserve(&stack, &ada, &upload(1)).await.1, Reservation::Reserved);
        stack.clock.advance(Duration::from_mins(1));
    }
    let refused = reserve(&stack, &ada, &upload(1)).await.1;
    assert_eq!(refused, Reservation::TooMany { oldest: Some(began) });
    stack.clock.set(began + Duration::from_hours(1));
    assert_eq!(reserve(&stack, &ada, &upload(1)).await.1, Reservation::Reserved);
    let refused = reserve(&stack, &ada, &upload(1)).await.1;
    assert_eq!(refused, Reservation::TooMany { oldest: Some(began + Duration::from_mins(1)) });
    assert_eq!(stack.stored_bytes(&ada).await, 6);
}

#[tokio::test]
async fn where_the_cache_counts_its_word_is_final() {
    let stack = TestStack::start().await;
    let ada = stack.session("ada@example.com").await;
    let reached = UploadLimits { is_reached: true, ..limit(10, 30, None) };
    let limits = limits(&stack, reached, limit(10, 30, None));
    let database = stack.database();
    let request = database.request(&ada, stack.clock.now());
    let (_, refused) = request.reserve_upload(&upload(1), &limits).await.unwrap();
    assert_eq!(refused, Reservation::TooMany { oldest: None });
    // What is too large stays too large.
    let (_, refused) = request.reserve_upload(&upload(u64::MAX), &limits).await.unwrap();
    assert_eq!(refused, Reservation::TooLarge);
    assert_eq!(stack.stored_bytes(&ada).await, 0);
}

#[tokio::test]
async fn of_several_inspections_the_first_one_counts() {
    let stack = TestStack::start().await;
    let (ada, eve) =
        (stack.session("ada@example.com").await, stack.session("eve@example.com").await);
    let (new, late) = (upload(1), upload(1));
    reserve(&stack, &ada, &new).await;
    reserve(&stack, &ada, &late).await;
    assert_eq!(complete(&stack, &eve, new.id, &FOUND).await, None);
    assert_eq!(complete(&stack, &ada, new.id, &FOUND).await, Some(4));
    let other = InspectedFile { dimensions: Some((9, 9)), pages: NonZeroU32::new(2), ..FOUND };
    assert_eq!(complete(&stack, &ada, new.id, &other).await, Some(4));
    assert_eq!(
        value::<i64>(&stack, "select count(*) from uploads where removal_at is null").await,
        1
    );
    assert!(delete(&stack, &ada, new.id).await);
    assert_eq!(complete(&stack, &ada, new.id, &FOUND).await, None);
    stack.clock.advance(Duration::from_hours(1));
    assert_eq!(complete(&stack, &ada, late.id, &FOUND).await, None);
    assert_eq!(value::<i64>(&stack, "select count(*) from uploads where state = 'ready'").await, 0);
}

#[tokio::test]
async fn an_id_that_two_users_have_is_two_uploads() {
    let stack = TestStack::start().await;
    let (ada, eve) =
        (stack.session("ada@example.com").await, stack.session("eve@example.com").await);
    let new = upload(10);
    for session in [&ada, &eve] {
        reserve(&stack, session, &new).await;
        complete(&stack, session, new.id, &FOUND).await;
        ask(&stack, session, "one", &[new.id]).await.unwrap();
    }
    assert!(delete(&stack, &ada, new.id).await);
    assert_eq!((stack.stored_bytes(&ada).await, stack.stored_bytes(&eve).await), (0, 10));
    let urls =
        "select jsonb_agg(parts -> 1 ->> 'url' order by user_id) from messages where role = 'user'";
    let urls: Value = value(&stack, urls).await;
    let kept = new.id.url();
    let expected = if ada.user.0 < eve.user.0 { ["", &*kept] } else { [&*kept, ""] };
    assert_eq!(urls, serde_json::json!(expected));
    // Nor does the one's erased message concern the other's upload.
    let erase = format!(
        "delete from turns where user_id = '{0}'; delete from chats where user_id = '{0}'",
        ada.user
    );
    as_owner(&stack, &erase).await;
    assert_eq!(
        value::<i64>(
            &stack,
            "select count(*) from uploads where state = 'ready' and removal_at is null"
        )
        .await,
        1
    );
}

#[tokio::test]
async fn messages_that_are_erased_together_free_their_files_together() {
    let stack = TestStack::start().await;
    let ada = stack.session("ada@example.com").await;
    let both = stack.ready_upload(&ada, &ReadyFile::IMAGE).await;
    let (first, elsewhere) = (
        stack.ready_upload(&ada, &ReadyFile::IMAGE).await,
        stack.ready_upload(&ada, &ReadyFile::IMAGE).await,
    );
    ask(&stack, &ada, "one", &[both, first, elsewhere]).await.unwrap();
    ask(&stack, &ada, "two", &[both]).await.unwrap();
    ask(&stack, &ada, "three", &[elsewhere]).await.unwrap();
    as_owner(&stack, "delete from turns; delete from chats where id <> 'three-chat'").await;
    let due = "select array_agg(id order by id) from uploads where removal_at is not null";
    let mut expected = vec![both.0, first.0];
    expected.sort();
    assert_eq!(value::<Vec<Uuid>>(&stack, due).await, expected);
}

#[tokio::test]
async fn a_question_and_a_deletion_at_once_leave_no_part_with_a_url() {
    for _ in 0..8 {
        let stack = TestStack::start().await;
        let ada = stack.session("ada@example.com").await;
        let file = stack.ready_upload(&ada, &ReadyFile::IMAGE).await;
        let files = [file];
        let (asked, deleted) =
            tokio::join!(ask(&stack, &ada, "one", &files), delete(&stack, &ada, file));
        assert!(deleted);
        let urls = "select count(*) from messages where parts::text like '%/api/uploads/%'";
        assert_eq!(value::<i64>(&stack, urls).await, 0);
        let questions =
            value::<i64>(&stack, "select count(*) from messages where role = 'user'").await;
        assert_eq!(questions, i64::from(asked.is_some()));
        assert_eq!(stack.stored_bytes(&ada).await, 0);
    }
}

/// Deterministic: the withdrawal is halted at the question's row, and the deletion behind it.
#[tokio::test]
async fn a_deletion_and_a_withdrawal_of_the_same_file_do_not_wait_for_each_other() {
    let stack = TestStack::start().await;
    let ada = stack.session("ada@example.com").await;
    let file = stack.ready_upload(&ada, &ReadyFile::IMAGE).await;
    let turn = ask(&stack, &ada, "one", &[file]).await.unwrap();
    let owner = stack.owner().await;
    owner
        .batch_execute("begin; select from messages where id = 'one-question' for update")
        .await
        .unwrap();
    let (database, now) = (stack.database(), stack.clock.now());
    let withdrawn = database.withdraw_turn(&turn, "unavailable", now);
    let deleted = async {
        tokio::time::sleep(Duration::from_millis(300)).await;
        delete(&stack, &ada, file).await
    };
    let release = async {
        tokio::time::sleep(Duration::from_millis(600)).await;
        owner.batch_execute("commit").await.unwrap();
    };
    let (withdrawn, deleted, ()) = tokio::join!(withdrawn, deleted, release);
    withdrawn.unwrap();
    assert!(deleted);
    assert_eq!(value::<i64>(&stack, "select count(*) from messages").await, 0);
    assert_eq!(stack.stored_bytes(&ada).await, 0);
}

#[tokio::test]
async fn a_due_upload_is_claimed_once_and_forgotten_only_when_it_is_deleted() {
    let stack = TestStack::start().await;
    let ada = stack.session("ada@example.com").await;
    let (new, kept) = (upload(10), stack.ready_upload(&ada, &ReadyFile::IMAGE).await);
    reserve(&stack, &ada, &new).await;
    let (jobs, user) = (jobs(&stack), ada.user);
    let now = stack.clock.now() + Duration::from_mins(70);
    assert_eq!(jobs.due_uploads(now - Duration::from_micros(1), 10).await.unwrap(), []);
    let due = DueUpload { user, id: new.id };
    assert_eq!(jobs.due_uploads(now, 10).await.unwrap(), [due]);
    let claims = (0..10).map(|_| jobs.claim_due_upload(due, now));
    let claims =
        join_all(claims).await.into_iter().filter(|claim| *claim.as_ref().unwrap()).count();
    assert_eq!((claims, stack.stored_bytes(&ada).await), (1, 4));
    let again = now + Duration::from_mins(10);
    assert_eq!(jobs.due_uploads(again - Duration::from_micros(1), 10).await.unwrap(), []);
    assert!(jobs.claim_due_upload(due, again).await.unwrap());
    let kept = DueUpload { user, id: kept };
    assert!(!jobs.claim_due_upload(kept, again).await.unwrap());
    jobs.forget_upload(kept).await.unwrap();
    jobs.forget_upload(due).await.unwrap();
    jobs.forget_upload(due).await.unwrap();
    assert_eq!(
        (
            value::<i64>(&stack, "select count(*) from uploads").await,
            stack.stored_bytes(&ada).await
        ),
        (1, 4)
    );
}

#[tokio::test]
async fn the_app_cannot_change_what_was_declared_and_jobs_cannot_read_names() {
    let stack = TestStack::start().await;
    let may = async |role: &str, what: &str, columns: &str| {
        let sql = format!(
            "select bool_or(has_column_privilege('{role}', 'uploads', column_name, '{what}'))
               from unnest(string_to_array('{columns}', ' ')) column_name"
        );
        value::<bool>(&stack, &sql).await
    };
    let declared = "user_id id filename declared_type size_bytes sha256 created_at";
    assert!(!may("app_user", "update", declared).await);
    assert!(!may("app_job", "select", "filename declared_type sha256").await);
    assert!(!may("app_job", "update", declared).await);
    for role in ["app_user", "app_money"] {
        let sql = format!("select has_table_privilege('{role}', 'uploads', 'delete')");
        assert!(!value::<bool>(&stack, &sql).await, "{role}");
    }
    let money = "select has_any_column_privilege('app_money', 'uploads', 'select')";
    assert!(!value::<bool>(&stack, money).await);
}

#[tokio::test]
async fn a_refusal_deletes_no_upload_that_another_inspection_has_completed() {
    let stack = TestStack::start().await;
    let ada = stack.session("ada@example.com").await;
    let ready = stack.ready_upload(&ada, &ReadyFile::IMAGE).await;
    let database = stack.database();
    let request = database.request(&ada, stack.clock.now());
    assert!(!request.refuse_upload(ready).await.unwrap());
    assert!(request.upload(ready).await.unwrap().is_some());
}
