//! Uploads that are removed: never completed, deleted, or without a message that has them.

use std::future::{Future, poll_fn};
use std::pin::pin;
use std::task::Poll;
use std::time::Duration;

use shared_core::chat::Placement;
use shared_core::identity::Session;
use shared_core::store::StoreError;
use shared_core::uploads::{FileType, Filename, NewUpload, Sha256Digest, UploadId};
use shared_lambda::system_entropy;
use shared_postgres::{NewUploadLimits, Reservation, UploadLimits};
use sweep::{SweepReport, sweep};
use testkit::{ReadyFile, TestStack, message_id, new_turn};

use crate::setup::{A, AMPLE, B, bring_keys, count, deps, jobs, swept, vault};

const UPLOADS: &str = "select count(*) from uploads";
const MINUTE: Duration = Duration::from_mins(1);
/// The shortest time that Postgres knows.
const INSTANT: Duration = Duration::from_micros(1);

async fn ada(stack: &TestStack) -> Session {
    stack.session("ada@example.com").await
}

/// Reserves an upload of ten bytes.
async fn pending(stack: &TestStack, session: &Session) -> UploadId {
    let now = stack.clock.now();
    let upload = NewUpload {
        id: UploadId(system_entropy().uuid(now)),
        filename: Filename::clean("a.txt"),
        file_type: FileType::parse("text/plain").unwrap(),
        size: 10,
        sha256: Sha256Digest([7; 32]),
    };
    let limits =
        UploadLimits { file_bytes: 10, stored_bytes: 1000, is_reached: false, uploads: None };
    let limits = NewUploadLimits { plan_limits: [("free", limits)].into(), counted_since: now };
    let database = stack.database();
    let (_, reservation) =
        database.request(session, now).reserve_upload(&upload, &limits).await.unwrap();
    assert_eq!(reservation, Reservation::Reserved);
    let key = format!("quarantine/{}/{}", session.user, upload.id);
    stack.s3.put(&key, &b"ten bytes!"[..], "text/plain").await.unwrap();
    upload.id
}

/// An image of six bytes, in three forms.
async fn ready(stack: &TestStack, session: &Session) -> UploadId {
    let file = ReadyFile {
        filename: "ship.png",
        media_type: "image/png",
        model_type: "image/jpeg",
        bytes: b"pixels",
        dimensions: Some((4, 3)),
        pages: None,
        tokens: 1,
    };
    stack.ready_upload(session, &file).await
}

async fn delete(stack: &TestStack, session: &Session, id: UploadId) {
    let database = stack.database();
    assert!(database.request(session, stack.clock.now()).delete_upload(id).await.unwrap());
}

/// A run in a process of its own.
async fn run(stack: &TestStack) -> SweepReport {
    swept(stack, vault(&[A])).await
}

async fn removed(stack: &TestStack) -> u64 {
    run(stack).await.count("uploadsRemoved").unwrap()
}

/// Asks a question with a file, as the first of a chat.
async fn ask(
    stack: &TestStack,
    session: &Session,
    name: &str,
    file: UploadId,
) -> Result<(), StoreError> {
    let place = Placement::Append { question: message_id(&format!("{name}-question")) };
    let mut turn = new_turn(&format!("{name}-chat"), place, &format!("{name}-answer"));
    turn.files = vec![file];
    let (database, now) = (stack.database(), stack.clock.now());
    let begun = database.request(session, now).begin_turn(&turn, &stack.plans(), None).await;
    begun.map(drop).map_err(|error| StoreError::Unavailable(Box::new(error)))
}

async fn as_owner(stack: &TestStack, sql: &str) {
    stack.owner().await.batch_execute(sql).await.unwrap();
}

#[tokio::test]
async fn a_pending_upload_is_removed_after_seventy_minutes() {
    let stack = TestStack::start().await;
    let ada = ada(&stack).await;
    pending(&stack, &ada).await;
    stack.clock.advance((MINUTE * 70).saturating_sub(INSTANT));
    assert!(!run(&stack).await.did_something());
    assert_eq!((stack.stored_bytes(&ada).await, stack.s3.all_versions("")), (10, 1));
    stack.clock.advance(INSTANT);
    let report = run(&stack).await;
    assert!(report.did_something());
    assert_eq!(report.count("uploadsRemoved"), Some(1));
    assert_eq!((stack.stored_bytes(&ada).await, stack.s3.all_versions("")), (0, 0));
    assert_eq!(count(&stack, UPLOADS).await, 0);
    assert!(!run(&stack).await.did_something());
}

#[tokio::test]
async fn a_deleted_upload_is_removed_after_six_minutes_in_all_versions() {
    let stack = TestStack::start().await;
    let ada = ada(&stack).await;
    let (deleted, kept) = (ready(&stack, &ada).await, ready(&stack, &ada).await);
    for key in ["quarantine/*", "quarantine/*", "clean/*/view", "clean/*/late"] {
        let key = key.replace('*', &format!("{}/{deleted}", ada.user));
        stack.s3.put(&key, &b"again"[..], "text/plain").await.unwrap();
    }
    delete(&stack, &ada, deleted).await;
    assert_eq!(stack.stored_bytes(&ada).await, 6);
    stack.clock.advance((MINUTE * 6).saturating_sub(INSTANT));
    assert_eq!(removed(&stack).await, 0);
    assert_eq!(stack.s3.all_versions(""), 10);
    // Written by an inspection that was under way.
    let late = format!("clean/{}/{deleted}/thumb", ada.user);
    stack.s3.put(&late, &b"late"[..], "image/jpeg").await.unwrap();
    stack.clock.advance(INSTANT);
    assert_eq!(removed(&stack).await, 1);
    // Only its own.
    assert_eq!(stack.s3.all_versions(""), 3);
    assert_eq!(stack.s3.all_versions(&format!("clean/{}/{kept}/", ada.user)), 3);
    assert_eq!((stack.stored_bytes(&ada).await, count(&stack, UPLOADS).await), (6, 1));
}

#[tokio::test]
async fn a_ready_upload_that_was_never_attached_stays() {
    let stack = TestStack::start().await;
    let ada = ada(&stack).await;
    let attached = ready(&stack, &ada).await;
    ready(&stack, &ada).await;
    ask(&stack, &ada, "one", attached).await.unwrap();
    stack.clock.advance(MINUTE * 60 * 24 * 400);
    run(&stack).await;
    assert_eq!((count(&stack, UPLOADS).await, stack.s3.all_versions("")), (2, 6));
    assert_eq!(stack.stored_bytes(&ada).await, 12);
}

/// Sweeps when an hour has not passed since the messages were erased by the database's clock, and when it has. Returns how
/// many were removed then.
async fn removed_within_an_hour(stack: &TestStack) -> [u64; 2] {
    // The trigger reads the database's clock, which runs: an hour after it is later than an hour after this one.
    stack.clock.advance(MINUTE * 60);
    let early = removed(stack).await;
    stack.clock.advance(MINUTE * 2);
    [early, removed(stack).await]
}

#[tokio::test]
async fn an_upload_whose_last_message_is_erased_is_removed_an_hour_later() {
    for erase in ["update chats set head_id = null; delete from messages", "delete from chats"] {
        let stack = TestStack::start().await;
        let ada = ada(&stack).await;
        let (file, other) = (ready(&stack, &ada).await, ready(&stack, &ada).await);
        ask(&stack, &ada, "one", file).await.unwrap();
        as_owner(&stack, "delete from turns").await;
        as_owner(&stack, erase).await;
        assert_eq!(removed_within_an_hour(&stack).await, [0, 1], "{erase}");
        assert_eq!((stack.stored_bytes(&ada).await, stack.s3.all_versions("")), (6, 3));
        let left = format!("clean/{}/{other}/", ada.user);
        assert_eq!(stack.s3.all_versions(&left), 3);
    }
}

#[tokio::test]
async fn an_upload_that_another_message_has_stays() {
    let stack = TestStack::start().await;
    let ada = ada(&stack).await;
    let file = ready(&stack, &ada).await;
    ask(&stack, &ada, "one", file).await.unwrap();
    ask(&stack, &ada, "two", file).await.unwrap();
    as_owner(&stack, "delete from turns; delete from chats where id = 'one-chat'").await;
    assert_eq!(removed_within_an_hour(&stack).await, [0, 0]);
    assert_eq!((count(&stack, UPLOADS).await, stack.s3.all_versions("")), (1, 3));
}

#[tokio::test]
async fn an_upload_that_is_attached_again_within_the_hour_stays() {
    let stack = TestStack::start().await;
    let ada = ada(&stack).await;
    let file = ready(&stack, &ada).await;
    ask(&stack, &ada, "one", file).await.unwrap();
    as_owner(&stack, "delete from turns; delete from chats").await;
    let due = "select count(*) from uploads where removal_at is not null";
    assert_eq!(count(&stack, due).await, 1);
    ask(&stack, &ada, "two", file).await.unwrap();
    assert_eq!(count(&stack, due).await, 0);
    assert_eq!(removed_within_an_hour(&stack).await, [0, 0]);
    // Erased once more, it goes.
    as_owner(&stack, "delete from turns; delete from chats").await;
    assert_eq!(removed(&stack).await, 1);
    assert_eq!((stack.stored_bytes(&ada).await, stack.s3.all_versions("")), (0, 0));
}

#[tokio::test]
async fn a_question_that_attaches_it_and_a_run_that_removes_it_exclude_each_other() {
    let (mut attached, mut claimed) = (0, 0);
    for (ask_in, claim_in) in [(0, 500), (500, 0), (0, 0), (0, 2), (2, 0), (0, 5), (5, 0)] {
        let stack = TestStack::start().await;
        let ada = ada(&stack).await;
        let file = ready(&stack, &ada).await;
        as_owner(&stack, "update uploads set removal_at = created_at").await;
        let (jobs, now) = (jobs(&stack), stack.clock.now());
        let due = jobs.due_uploads(now, 10).await.unwrap();
        let asked = async {
            tokio::time::sleep(Duration::from_millis(ask_in)).await;
            ask(&stack, &ada, "one", file).await
        };
        let claim = async {
            tokio::time::sleep(Duration::from_millis(claim_in)).await;
            jobs.claim_due_upload(due[0], now).await.unwrap()
        };
        let (asked, is_claimed) = tokio::join!(asked, claim);
        assert_ne!(asked.is_ok(), is_claimed, "after {ask_in} ms and {claim_in} ms");
        let linked = count(&stack, "select count(*) from message_files").await;
        let questions = count(&stack, "select count(*) from messages").await;
        if is_claimed {
            claimed += 1;
            assert_eq!((linked, questions, stack.stored_bytes(&ada).await), (0, 0, 0));
        } else {
            attached += 1;
            assert_eq!((linked, questions, stack.stored_bytes(&ada).await), (1, 2, 6));
        }
        stack.clock.advance(MINUTE * 10);
        assert_eq!(removed(&stack).await, u64::from(is_claimed));
        assert_eq!(stack.s3.all_versions(""), if is_claimed { 0 } else { 3 });
    }
    assert!(attached > 0 && claimed > 0, "{attached} and {claimed}");
}

#[tokio::test]
async fn a_run_removes_at_most_a_thousand_the_longest_due_first() {
    let stack = TestStack::start().await;
    let ada = ada(&stack).await;
    let insert = "
        insert into uploads (user_id, id, filename, declared_type, size_bytes, sha256, state, created_at, removal_at)
        select $1, ('00000000-0000-0000-0000-' || lpad(n::text, 12, '0'))::uuid, 'x', 'text/plain', 1, sha256('x'),
               'deleted', $2, $2::timestamptz - n * interval '1 second'
          from generate_series(1, 1001) n";
    let now = stack.clock.now();
    stack.owner().await.execute(insert, &[&ada.user.0, &now]).await.unwrap();
    stack
        .owner()
        .await
        .execute("insert into storage_usage values ($1, 0)", &[&ada.user.0])
        .await
        .unwrap();
    assert_eq!(removed(&stack).await, 1000);
    let newest = "select count(*) from uploads where id = '00000000-0000-0000-0000-000000000001'";
    assert_eq!((count(&stack, UPLOADS).await, count(&stack, newest).await), (1, 1));
    assert_eq!(removed(&stack).await, 1);
}

#[tokio::test]
async fn while_s3_is_down_the_other_work_is_done_and_uploads_are_tried_again_after_ten_minutes() {
    let stack = TestStack::start().await;
    let ada = ada(&stack).await;
    bring_keys(&stack, &vault(&[A]), 1).await;
    for _ in 0..2 {
        let id = ready(&stack, &ada).await;
        delete(&stack, &ada, id).await;
    }
    pending(&stack, &ada).await;
    stack.clock.advance(MINUTE * 70);
    stack.s3.stop().await;
    let error = sweep(&deps(&stack, vault(&[B, A])), AMPLE).await.unwrap_err();
    assert!(error.to_string().starts_with("uploads: "), "{error}");
    let of = |name| error.report.count(name).unwrap();
    assert_eq!((of("uploadsNotRemoved"), of("uploadsRemoved"), of("keysRotated")), (3, 0, 1));
    // Its bytes are free, whatever S3 keeps for a while.
    assert_eq!((stack.stored_bytes(&ada).await, count(&stack, UPLOADS).await), (0, 3));

    stack.s3.start_again().await.unwrap();
    stack.s3.clear_requests();
    stack.clock.advance((MINUTE * 10).saturating_sub(INSTANT));
    assert_eq!((removed(&stack).await, stack.s3.requests()), (0, vec![]));
    stack.clock.advance(INSTANT);
    assert_eq!(removed(&stack).await, 3);
    assert_eq!((stack.s3.all_versions(""), count(&stack, UPLOADS).await), (0, 0));
}

/// Polls a run so often, then drops it: it is killed there. Returns how often it was polled.
async fn killed_after(polls: usize, run: impl Future) -> usize {
    let (mut run, mut polled) = (pin!(run), 0);
    poll_fn(|context| {
        if polled == polls {
            return Poll::Ready(polled);
        }
        polled += 1;
        run.as_mut().poll(context).map(|_| polled)
    })
    .await
}

#[tokio::test]
async fn what_a_killed_run_leaves_is_finished_by_the_next_one() {
    let stack = TestStack::start().await;
    let ada = ada(&stack).await;
    // The last steps of a run remove uploads: three of them take so many.
    let mut kills = 0;
    for before_the_end in 0..24 {
        let due = async || {
            pending(&stack, &ada).await;
            ready(&stack, &ada).await;
            for id in [ready(&stack, &ada).await, ready(&stack, &ada).await] {
                delete(&stack, &ada, id).await;
            }
            stack.clock.advance(MINUTE * 70);
        };
        due().await;
        let steps = killed_after(usize::MAX, run(&stack)).await;
        due().await;
        killed_after(steps.saturating_sub(before_the_end), run(&stack)).await;
        let left = count(&stack, "select count(*) from uploads where state <> 'ready'").await;
        kills += usize::from(left > 0);
        stack.clock.advance(MINUTE * 10);
        run(&stack).await;
        let ready = i64::try_from(before_the_end).unwrap() * 2 + 2;
        assert_eq!(count(&stack, UPLOADS).await, ready, "{before_the_end}");
        assert_eq!(stack.stored_bytes(&ada).await, ready * 6);
        assert_eq!(i64::try_from(stack.s3.all_versions("")).unwrap(), ready * 3);
    }
    assert!(kills >= 5, "{kills}");
}

#[tokio::test]
async fn a_run_that_is_killed_at_any_request_to_s3_is_finished_by_the_next_one() {
    for request in 0..4 {
        let stack = TestStack::start().await;
        let ada = ada(&stack).await;
        let id = ready(&stack, &ada).await;
        let key = format!("quarantine/{}/{id}", ada.user);
        stack.s3.put(&key, &b"sent"[..], "image/png").await.unwrap();
        delete(&stack, &ada, id).await;
        stack.clock.advance(MINUTE * 6);
        stack.s3.hang_after(request);
        let hangs = async {
            while stack.s3.requests().len() <= request {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        };
        tokio::select! {
            () = hangs => {}
            report = run(&stack) => panic!("{report:?}"),
        }
        stack.s3.resume();
        assert_eq!((removed(&stack).await, count(&stack, UPLOADS).await), (0, 1));
        stack.clock.advance(MINUTE * 10);
        assert_eq!(removed(&stack).await, 1);
        assert_eq!((stack.s3.all_versions(""), count(&stack, UPLOADS).await), (0, 0));
        assert_eq!(stack.stored_bytes(&ada).await, 0);
    }
}

#[tokio::test]
async fn runs_at_once_remove_each_upload_once() {
    let stack = TestStack::start().await;
    let ada = ada(&stack).await;
    for _ in 0..10 {
        pending(&stack, &ada).await;
    }
    let kept = ready(&stack, &ada).await;
    stack.clock.advance(MINUTE * 70);
    let (one, other, third) = tokio::join!(removed(&stack), removed(&stack), removed(&stack));
    assert_eq!(one + other + third, 10);
    assert_eq!((stack.stored_bytes(&ada).await, count(&stack, UPLOADS).await), (6, 1));
    assert_eq!(stack.s3.all_versions(&format!("clean/{}/{kept}/", ada.user)), 3);
}

#[tokio::test]
async fn a_run_that_is_out_of_time_leaves_the_rest_to_the_next_one() {
    let stack = TestStack::start().await;
    let ada = ada(&stack).await;
    for _ in 0..20 {
        pending(&stack, &ada).await;
    }
    stack.clock.advance(MINUTE * 70);
    let report = sweep(&deps(&stack, vault(&[A])), Duration::ZERO).await.unwrap();
    let done = report.count("uploadsRemoved").unwrap();
    assert!(report.out_of_time && done < 20, "{report:?}");
    stack.clock.advance(MINUTE * 10);
    assert_eq!(removed(&stack).await, 20 - done);
    assert_eq!((stack.stored_bytes(&ada).await, stack.s3.all_versions("")), (0, 0));
}
