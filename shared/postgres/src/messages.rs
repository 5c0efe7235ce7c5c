//! `messages`: questions and answers, a tree per chat.

/// Everything before the model is asked; the function is in the third migration.
pub(crate) const BEGIN_TURN: &str = "select said_by, said, sealed from begin_turn($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15)";

/// Only an answer that is still open can be finished, so whoever comes second changes nothing. Who
/// comes again with the same ending, because nobody told them that they had succeeded, has.
pub(crate) const FINISH: &str = "
    update messages
       set status = $2,
           parts = $3,
           model = coalesce($4, model),
           generation_id = $5,
           finish_reason = $6,
           error_code = $7,
           prompt_tokens = $8,
           completion_tokens = $9,
           reasoning_tokens = $10,
           cached_tokens = $11,
           cost_nano_usd = $12,
           finished_at = $13
     where id = $1
       and (status = 'streaming' or (status = $2 and finished_at = $13))";

/// Takes messages back if the answer `$2` is there, unless somebody has gone on below them meanwhile.
pub(crate) const WITHDRAW: &str = "
    delete from messages
     where id = any ($1)
       and exists (select from messages where id = $2)
       and not exists (select
                         from messages below
                        where below.parent_id = any ($1)
                          and below.id <> all ($1))";

/// For a turn that could not be taken back.
pub(crate) const CLOSE: &str = "
    update messages
       set status = 'failed',
           error_code = $2,
           finished_at = created_at
     where id = $1
       and status = 'streaming'";

/// Gives a question that has stepped aside its id back, where the one that took it is gone.
pub(crate) const STEP_BACK: &str = "
    update messages
       set id = $2
     where id = $1
       and chat_id = $3
       and not exists (select from messages where id = $2)";
