//! `summaries`: what stands for the older part of a chat.

/// The newest summary of a chat, as one more row of the turn's context (see `messages::CONTEXT`).
pub(crate) const NEWEST: &str = "
    select 'summary', to_jsonb(content), 0
      from (select content from summaries where chat_id = $1 order by created_at desc limit 1)";
