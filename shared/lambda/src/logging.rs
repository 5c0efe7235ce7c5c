//! Logs: JSON lines on Lambda, readable ones at a terminal. And on Lambda, traces, if configured.

use tracing::{Level, Metadata};
use tracing_subscriber::filter::{FilterExt, filter_fn};
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{EnvFilter, Layer, Registry, fmt};

use crate::otel;

type BoxedLayer = Box<dyn Layer<Registry> + Send + Sync>;

/// Starts logging. `RUST_LOG` is the filter, `info` by default. A second call changes nothing.
pub fn begin_logging(json: bool) {
    let traces = json.then(otel::layer).flatten().map(Layer::boxed);
    let log = log(json, std::io::stdout);
    let _ = tracing_subscriber::registry().with(layers(log, traces)).try_init();
}

fn log(json: bool, writer: impl for<'a> MakeWriter<'a> + Send + Sync + 'static) -> BoxedLayer {
    let layer = fmt::layer().with_writer(writer);
    if json {
        layer.json().flatten_event(true).with_current_span(true).with_span_list(false).boxed()
    } else {
        layer.compact().with_target(false).boxed()
    }
}

/// Each layer has a filter of its own: `RUST_LOG` silences the log and not the traces, and a span for
/// traces alone is disabled where there are no traces.
fn layers(log: BoxedLayer, traces: Option<BoxedLayer>) -> Vec<BoxedLayer> {
    let chosen = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info"));
    let log = log.with_filter(chosen.and(filter_fn(is_for_the_log)));
    [Some(log.boxed()), traces].into_iter().flatten().collect()
}

/// Whatever `RUST_LOG` is: at level TRACE, the runtime logs whole events, with the cookies, keys and
/// questions in them, and the headers of responses.
fn is_for_the_log(metadata: &Metadata<'_>) -> bool {
    let may_hold_an_event =
        metadata.target().starts_with("lambda_runtime") && *metadata.level() == Level::TRACE;
    metadata.target() != otel::TARGET && !may_hold_an_event
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use tracing::subscriber::with_default;

    use super::*;

    /// The log lines of `log_something`, with or without a layer of `traces`.
    fn logged(traces: Option<BoxedLayer>, log_something: impl FnOnce()) -> String {
        let (mut output, input) = std::io::pipe().unwrap();
        let log = log(true, std::sync::Mutex::new(input));
        with_default(tracing_subscriber::registry().with(layers(log, traces)), log_something);
        let mut text = String::new();
        output.read_to_string(&mut text).unwrap();
        text
    }

    fn in_a_call() -> bool {
        let request = tracing::info_span!("request", request_id = "r-1").entered();
        let call = tracing::info_span!(target: "otel", "chat", model = "m-1").entered();
        tracing::info!("said");
        drop((call, request));
        tracing::info_span!(target: "otel", "chat").is_disabled()
    }

    #[test]
    fn a_span_for_traces_alone_is_disabled_without_them() {
        let text = logged(None, || assert!(in_a_call()));
        assert!(text.contains("r-1") && text.contains("said") && !text.contains("m-1"), "{text}");
    }

    #[test]
    fn lambda_events_are_not_logged_at_any_level() {
        let runtime = filter_fn(is_for_the_log);
        let log = log(true, std::io::sink).with_filter(runtime).boxed();
        with_default(tracing_subscriber::registry().with(vec![log]), || {
            use tracing::enabled;
            assert!(!enabled!(target: "lambda_runtime::layers::api_response", Level::TRACE));
            assert!(enabled!(target: "lambda_runtime::layers::api_response", Level::DEBUG));
            assert!(enabled!(target: "keys", Level::TRACE));
        });
    }

    #[test]
    fn with_traces_log_lines_still_name_the_request() {
        let kept = tracing_subscriber::layer::Identity::new().boxed();
        let text = logged(Some(kept), || assert!(!in_a_call()));
        assert!(text.contains("r-1") && text.contains("said") && !text.contains("m-1"), "{text}");
    }
}
