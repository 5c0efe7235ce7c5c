//! `messages`: questions and answers, a tree per chat.

/// Everything before the model is asked; the function is in the sixth migration.
pub(crate) const BEGIN_TURN: &str = "
    select said_by, said, sealed
      from begin_turn($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17)";

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
