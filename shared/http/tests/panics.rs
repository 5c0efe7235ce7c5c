//! A panic in a handler, as Lambda and CloudWatch see it.

use testkit::{ORIGIN, Rie, event_json};

#[tokio::test]
async fn a_panic_is_a_500_response_that_is_counted_and_the_next_request_is_served() {
    // Tests are in target/…/deps, examples beside that.
    let tests = std::env::current_exe().unwrap();
    let function = tests.parent().unwrap().parent().unwrap().join("examples/panics");
    let variables = [("APP_ORIGIN", ORIGIN.to_owned())];
    let mut rie = Rie::start(function.to_str().unwrap(), &variables).await;
    for _ in 0..2 {
        let answer = rie.post(event_json("account-health")).await;
        assert_eq!(answer.refusal(), (500, "internal".to_owned()));
        assert!(!answer.body.contains("bug"), "{}", answer.body);
    }
    let log = rie.log();
    assert_eq!(log.matches(r#""InternalError":1.0"#).count(), 2, "{log}");
    assert!(log.contains("a bug of ours"), "{log}");
}
