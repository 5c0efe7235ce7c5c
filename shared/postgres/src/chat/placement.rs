//! A turn's placement as the SQL functions take it.

use serde::Serialize;
use shared_core::chat::Placement;
use shared_core::ids::MessageId;

/// Fields of the `turn` that `begin_turn`, `withdraw_turn` and `restore_turn` take.
#[derive(Debug, Serialize)]
pub(super) struct PlacementFields<'a> {
    pub(super) placement: &'static str,
    pub(super) question: &'a MessageId,
    #[serde(skip_serializing_if = "Option::is_none")]
    displaced_id: Option<&'a MessageId>,
}

impl<'a> From<&'a Placement> for PlacementFields<'a> {
    fn from(placement: &'a Placement) -> Self {
        let (placement, question, displaced_id) = match placement {
            Placement::Append { question } => ("append", question, None),
            Placement::Edit { question, displaced_id } => ("edit", question, Some(displaced_id)),
            Placement::Regenerate { question } => ("regenerate", question, None),
        };
        Self { placement, question, displaced_id }
    }
}
