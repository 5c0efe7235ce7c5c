//! Rebuilds an answer from the frames of its stream.
//!
//! The process of an orphaned turn is gone, and its live log is all that is left. The frames are our own
//! ([`UiStream`](crate::UiStream) has written them), so this parses them and nothing else: no other SSE.

use std::borrow::Cow;

use serde::Deserialize;
use shared_core::billing::nano_usd;
use shared_core::chat::{Answer, FinishReason, ModelEvent, Usage};

/// The frames that an [`Answer`] is rebuilt from. The others open and close parts, which it does by itself.
#[derive(Deserialize)]
#[serde(tag = "type", rename_all = "kebab-case", rename_all_fields = "camelCase")]
enum Frame<'a> {
    Start {
        message_metadata: Started,
    },
    TextDelta {
        #[serde(borrow)]
        delta: Cow<'a, str>,
    },
    ReasoningDelta {
        #[serde(borrow)]
        delta: Cow<'a, str>,
    },
    SourceUrl {
        #[serde(borrow)]
        url: Cow<'a, str>,
        #[serde(borrow)]
        title: Option<Cow<'a, str>>,
    },
    Finish {
        finish_reason: FinishReason,
        message_metadata: Metadata,
    },
    MessageMetadata {
        message_metadata: Metadata,
    },
    #[serde(other)]
    Other,
}

#[derive(Deserialize)]
struct Started {
    model: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Metadata {
    usage: Option<Usage>,
    cost_usd: Option<f64>,
}

impl Metadata {
    fn apply_to(self, apply: &mut impl FnMut(ModelEvent<'_>)) {
        let cost_nano_usd = self.cost_usd.map(nano_usd);
        if let Some(usage) = self.usage {
            apply(ModelEvent::Used(Usage { cost_nano_usd, ..usage }));
        }
    }
}

/// Rebuilds the answer from `frames`, as far as they go. `generation` is the provider's generation id,
/// which no frame carries.
///
/// Frames that are cut off or of an unknown type are skipped, so that the text around them is kept.
pub fn answer_of_frames(frames: &[u8], generation: Option<&str>) -> Answer {
    let mut answer = Answer::default();
    let mut apply = |event: ModelEvent<'_>| answer.apply(&event, &mut |_| ());
    let lines = frames.split(|byte| *byte == b'\n');
    for data in lines.filter_map(|line| line.strip_prefix(b"data: ")) {
        match serde_json::from_slice(data).unwrap_or(Frame::Other) {
            Frame::Start { message_metadata: Started { model } } => {
                if let Some(generation) = generation {
                    apply(ModelEvent::Identified { generation, model: &model });
                }
            }
            Frame::TextDelta { delta } => apply(ModelEvent::Text(&delta)),
            Frame::ReasoningDelta { delta } => apply(ModelEvent::Reasoning(&delta)),
            Frame::SourceUrl { url, title } => {
                apply(ModelEvent::Citation { url: &url, title: title.as_deref() });
            }
            Frame::Finish { finish_reason, message_metadata } => {
                apply(ModelEvent::Finished(finish_reason));
                message_metadata.apply_to(&mut apply);
            }
            Frame::MessageMetadata { message_metadata } => message_metadata.apply_to(&mut apply),
            Frame::Other => {}
        }
    }
    answer.close(&mut |_| ());
    answer
}

#[cfg(test)]
mod tests {
    use http_body_util::BodyExt;
    use proptest::collection::vec;
    use proptest::prelude::*;
    use proptest::sample::Index;
    use shared_core::billing::Charge;
    use shared_core::chat::Part;
    use shared_core::ids::MessageId;
    use shared_core::models::ModelError;

    use super::*;
    use crate::{TurnSummary, UiStream};

    /// A [`ModelEvent`], owned.
    #[derive(Clone, Debug)]
    enum Event {
        Text(String),
        Reasoning(String),
        Citation(String, Option<String>),
        Identified,
        Finished,
        Used,
        Failed,
    }

    fn event() -> impl Strategy<Value = Event> {
        prop_oneof![
            4 => any::<String>().prop_map(Event::Text),
            4 => any::<String>().prop_map(Event::Reasoning),
            2 => ("[a-c\"\n\0]", any::<Option<String>>()).prop_map(|(u, t)| Event::Citation(u, t)),
            1 => Just(Event::Identified),
            1 => Just(Event::Finished),
            1 => Just(Event::Used),
            1 => Just(Event::Failed),
        ]
    }

    impl Event {
        fn event(&self) -> ModelEvent<'_> {
            match self {
                Self::Text(text) => ModelEvent::Text(text),
                Self::Reasoning(text) => ModelEvent::Reasoning(text),
                Self::Citation(url, title) => ModelEvent::Citation { url, title: title.as_deref() },
                Self::Identified => ModelEvent::Identified { generation: "gen-1", model: "other" },
                Self::Finished => ModelEvent::Finished(FinishReason::Stop),
                Self::Used => ModelEvent::Used(USAGE),
                Self::Failed => ModelEvent::Failed(ModelError::Broken),
            }
        }
    }

    const USAGE: Usage = Usage {
        prompt_tokens: 10,
        completion_tokens: 15,
        reasoning_tokens: 5,
        cached_tokens: 2,
        cost_nano_usd: Some(1_200_001),
    };

    /// How a stream ends.
    #[derive(Clone, Copy)]
    enum End {
        Finish,
        Error,
    }

    /// An answer, and the bytes of its stream.
    fn streamed(events: &[Event], end: End) -> (Answer, Vec<u8>) {
        let (mut out, body) = UiStream::new("it panicked");
        out.start(&MessageId::parse("answer-01").unwrap(), "fake/echo");
        let mut answer = Answer::default();
        for event in events {
            answer.apply(&event.event(), &mut |event| out.event(&event));
            out.comment();
        }
        answer.close(&mut |event| out.event(&event));
        let summary = TurnSummary { model: "fake/echo", usage: Some(USAGE), charge: Charge::Byok };
        match end {
            End::Finish => out.finish(FinishReason::Length, Some(&summary)),
            End::Error => out.error("it broke", Some(&summary)),
        }
        out.flush();
        drop(out);
        let body = futures_util::FutureExt::now_or_never(body.collect());
        (answer, body.unwrap().unwrap().to_bytes().to_vec())
    }

    fn words(answer: &Answer) -> String {
        let part = |part: &Part| match part {
            Part::Text { text } | Part::Reasoning { text } => text.clone(),
            Part::SourceUrl { .. } | Part::File(_) => String::new(),
        };
        answer.parts().iter().map(part).collect()
    }

    /// Whether `part` is a prefix of `whole`.
    fn begins(part: &Part, whole: &Part) -> bool {
        match (part, whole) {
            (Part::Text { text }, Part::Text { text: whole })
            | (Part::Reasoning { text }, Part::Reasoning { text: whole }) => {
                whole.starts_with(text)
            }
            (part, whole) => part == whole,
        }
    }

    proptest! {
        #[test]
        fn an_answer_is_rebuilt_from_its_stream(events in vec(event(), 0..24)) {
            let (answer, frames) = streamed(&events, End::Finish);
            let replayed = answer_of_frames(&frames, None);
            prop_assert_eq!(replayed.parts(), answer.parts());
        }

        #[test]
        fn a_truncated_stream_yields_a_prefix(events in vec(event(), 0..12), at in any::<Index>()) {
            let (answer, frames) = streamed(&events, End::Finish);
            let cut = answer_of_frames(&frames[..at.index(frames.len())], None);
            prop_assert!(cut.parts().len() <= answer.parts().len());
            for (part, whole) in cut.parts().iter().zip(answer.parts()) {
                prop_assert!(begins(part, whole), "{part:?} {whole:?}");
            }
        }
    }

    #[test]
    fn every_whole_frame_before_a_cut_counts() {
        let events = ["one ", "two ", "three"].map(|word| Event::Text(word.into()));
        let (_, frames) = streamed(&events, End::Finish);
        let text = String::from_utf8(frames).unwrap();
        let cut = text.find("three").unwrap();
        assert_eq!(words(&answer_of_frames(&text.as_bytes()[..cut], None)), "one two ");
    }

    #[test]
    fn usage_is_known_once_the_stream_has_ended() {
        let events = [Event::Text("a".into())];
        let (_, frames) = streamed(&events, End::Finish);
        let answer = answer_of_frames(&frames, Some("gen-1"));
        assert_eq!((answer.generation(), answer.model()), (Some("gen-1"), Some("fake/echo")));
        assert_eq!(answer.usage(), Some(USAGE));
        assert_eq!(answer.finish_reason(), Some(FinishReason::Length));

        let (_, frames) = streamed(&events, End::Error);
        let answer = answer_of_frames(&frames, None);
        assert_eq!((answer.usage(), answer.finish_reason()), (Some(USAGE), None));
        assert_eq!((answer.generation(), answer.model()), (None, None));
    }

    #[test]
    fn unknown_frames_are_skipped_without_losing_others() {
        let frames = "id: 1\ndata: {\"type\":\"start\"}\n\ndata: {\"type\":\"text-delta\",\"id\":\"0\",\"delta\":\"a\",\"new\":1}\n\n\
            : still here\n\ndata: {\"type\":\"file\",\"url\":\"x\"}\n\ndata: [DONE]\n\ndata: 7\n\nretry: 1\n\n\
            data: {\"type\":\"text-delta\",\"id\":\"0\",\"delta\":\"b\"}\n\n";
        assert_eq!(words(&answer_of_frames(frames.as_bytes(), None)), "ab");
        assert_eq!(answer_of_frames(b"", Some("gen-1")), Answer::default());
    }
}
