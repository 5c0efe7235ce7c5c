//! The function's app, as in a process of its own.

use std::sync::Arc;

use axum::Router;
use chat_stream::{ChatConfig, Deps, app as chat_stream};
use shared_lambda::Tasks;
use testkit::TestStack;

pub(crate) fn app(stack: &TestStack, tasks: &Tasks) -> Router {
    chat_stream(deps(stack, tasks))
}

pub(crate) fn deps(stack: &TestStack, tasks: &Tasks) -> Deps {
    Deps {
        app: stack.app_context(),
        tokens: stack.tokens(),
        cache: stack.cache(),
        database: stack.database(),
        inbox: stack.inbox(),
        files: stack.files(),
        catalogue: stack.catalogue(),
        openrouter: stack.openrouter(),
        table: stack.table(),
        plans: stack.plans(),
        vault: stack.vault(),
        tasks: tasks.clone(),
        config: Arc::new(ChatConfig::from_env(&stack.env()).unwrap()),
    }
}
