//! Runs `tests/browser`, which opens pages in Chromium, on a product of its own.

#![expect(clippy::unwrap_used, reason = "helpers of tests stop where something breaks")]

use std::net::SocketAddr;

use axum::response::IntoResponse;
use axum::routing::get;
use http::header;
use local::{DevMailbox, Product, Wiring};
use local_s3::LocalS3;
use serde_norway::Value;
use shared_lambda::system_entropy;
use testkit::{NpmProject, TestStack, output_text, repository_file};
use tokio::net::TcpListener;
use tokio::sync::oneshot;

#[tokio::test(flavor = "multi_thread")]
async fn a_browser_uploads_files_under_the_deployed_policy() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let origin = format!("http://localhost:{}", listener.local_addr().unwrap().port());
    // Its CORS rules name this origin.
    let s3 = LocalS3::start(&[&origin]).await.unwrap();
    let mut stack = TestStack::start().await;
    stack.set("APP_ORIGIN", &origin);
    stack.set("AWS_ENDPOINT_URL_S3", s3.url());
    let session = stack.session("ada@example.com").await;
    let cookie = stack.cookie(&session);
    let (_, token) = cookie.split_once('=').unwrap();
    let variables = [("APP_URL", origin), ("SESSION", token.to_owned())];
    let wiring = Wiring {
        clock: stack.clock.clock(),
        entropy: system_entropy(),
        mailbox: DevMailbox::new(stack.clock.clock(), None),
        table: (*stack.table()).clone(),
        plans: (*stack.plans()).clone(),
        sweeper: None,
    };
    let product = Product::new(&stack.env(), wiring).unwrap().router();
    let app = product
        .route("/page", get(page(deployed_policy(&s3.url()))))
        .route("/without-storage", get(page("default-src 'self'".to_owned())))
        .route("/page.js", get(([(header::CONTENT_TYPE, "text/javascript")], script())))
        .into_make_service_with_connect_info::<SocketAddr>();

    let (stop, stopped) = oneshot::channel::<()>();
    let serving = axum::serve(listener, app).with_graceful_shutdown(async { drop(stopped.await) });
    let testing = async {
        let tests = move || NpmProject::installed("tests/browser").test(variables);
        let tested = tokio::task::spawn_blocking(tests).await;
        drop(stop);
        tested.unwrap()
    };
    let (served, tested) = tokio::join!(serving.into_future(), testing);
    served.unwrap();
    assert!(tested.status.success(), "{}", output_text(&tested));
}

fn page(policy: String) -> impl IntoResponse + Clone {
    let headers =
        [(header::CONTENT_TYPE, "text/html".to_owned()), (header::CONTENT_SECURITY_POLICY, policy)];
    (headers, repository_file("tests/browser/page.html"))
}

/// The page's script, after the function that is documented for clients.
fn script() -> String {
    let clients = repository_file("docs/clients.md");
    let (_, function) = clients.split_once("```js\nexport async function upload").unwrap();
    let (function, _) = function.split_once("```").unwrap();
    format!("async function upload{function}\n{}", repository_file("tests/browser/page.js"))
}

/// The policy of pages in `infra/edge.yaml`, for uploads at this origin.
fn deployed_policy(uploads: &str) -> String {
    let template: Value = serde_norway::from_str(&repository_file("infra/edge.yaml")).unwrap();
    let headers =
        &template["Resources"]["PageHeaders"]["Properties"]["ResponseHeadersPolicyConfig"];
    let policy =
        &headers["SecurityHeadersConfig"]["ContentSecurityPolicy"]["ContentSecurityPolicy"];
    let directives = tagged(policy).unwrap()[1].as_sequence().unwrap().iter();
    let directives = directives.map(|directive| {
        let text = tagged(directive).unwrap_or(directive).as_str().unwrap();
        text.replace("${UploadsOrigins}", uploads)
    });
    directives.collect::<Vec<_>>().join("; ")
}

/// The argument of a function such as `!Sub`.
fn tagged(value: &Value) -> Option<&Value> {
    if let Value::Tagged(function) = value { Some(&function.value) } else { None }
}
