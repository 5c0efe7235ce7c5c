//! Limits of a plan on the wire: of the user's own, and of those for sale.

use serde::Serialize;
use shared_core::billing::Plan;
use utoipa::ToSchema;

/// Limits of a plan.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct PlanLimits {
    /// How much of a chat is sent to a model, in tokens.
    context_tokens: u32,
    /// Maximum length of a message, in bytes of UTF-8.
    message_bytes: usize,
    /// Maximum number of turns in a chat.
    chat_turns: u32,
    /// Maximum size of a file, in MiB.
    upload_mib: u32,
    /// The most that one user's files may take, in MiB.
    stored_mib: u32,
    /// Turns in any minute.
    turns_per_minute: u32,
    /// Files in any hour.
    uploads_per_hour: u32,
    /// Changes of the user's own key in any 24 hours.
    key_changes_per_day: u32,
}

impl From<&Plan> for PlanLimits {
    fn from(plan: &Plan) -> Self {
        Self {
            context_tokens: plan.context_tokens.get(),
            message_bytes: plan.message_bytes.get(),
            chat_turns: plan.chat_turns.get(),
            upload_mib: plan.upload_mib.get(),
            stored_mib: plan.stored_mib.get(),
            turns_per_minute: plan.turns_per_minute.get(),
            uploads_per_hour: plan.uploads_per_hour.get(),
            key_changes_per_day: plan.key_changes_per_day.get(),
        }
    }
}
