//! `messages`: questions and answers, a tree per chat.

use std::sync::LazyLock;

use crate::summaries;

/// The branch above a turn, nearest first, and the newest summary. `$2` says where the turn goes:
/// `next` to the head, `instead` of `$3`, or `again` below `$3`, which then is the first row.
pub(crate) static CONTEXT: LazyLock<String> = LazyLock::new(|| {
    format!(
        "
    with recursive branch as (
      select m.id, m.parent_id, m.role, m.parts, 1 as depth
        from messages m
       where m.chat_id = $1
         and m.id = case $2::text
                      when 'next'    then (select head_id from chats where id = $1)
                      when 'instead' then (select parent_id from messages where id = $3 and chat_id = $1)
                      when 'again'   then $3
                    end
      union all
      select m.id, m.parent_id, m.role, m.parts, b.depth + 1
        from branch b
        join messages m on m.id = b.parent_id
       where b.depth < $4
    )
    select role, parts, depth from branch
    union all
    ({newest_summary})
     order by 3",
        newest_summary = summaries::NEWEST
    )
});

pub(crate) const ADD_NEXT: &str = "
    insert into messages (id, chat_id, user_id, parent_id, role, status, parts, model, created_at)
    values ($1, $3, $4, (select head_id from chats where id = $3), 'user', 'complete', $5, null, $7),
           ($2, $3, $4, $1, 'assistant', 'streaming', '[]', $6, $7)";

/// Gives a question of this chat another id; its answers follow by their foreign key.
pub(crate) const STEP_ASIDE: &str = "
    update messages
       set id = $2
     where id = $1
       and chat_id = $3
       and role = 'user'";

/// After [`STEP_ASIDE`]. Adds nothing if there was no question `$8` to step aside.
pub(crate) const ADD_INSTEAD: &str = "
    with replaced as (
      select parent_id from messages where id = $8 and chat_id = $3
    )
    insert into messages (id, chat_id, user_id, parent_id, role, status, parts, model, created_at)
    select $1, $3, $4::uuid, parent_id, 'user', 'complete', $5::jsonb, null, $7::timestamptz from replaced
    union all
    select $2, $3, $4, $1, 'assistant', 'streaming', '[]', $6, $7 from replaced";

/// Adds nothing if `$1` is not a question of this chat.
pub(crate) const ADD_AGAIN: &str = "
    insert into messages (id, chat_id, user_id, parent_id, role, status, parts, model, created_at)
    select $2, $3, $4, id, 'assistant', 'streaming', '[]', $5, $6
      from messages
     where id = $1
       and chat_id = $3
       and role = 'user'";

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

/// Takes messages back, unless somebody has gone on below them meanwhile.
pub(crate) const WITHDRAW: &str = "
    delete from messages
     where id = any ($1)
       and not exists (select
                         from messages below
                        where below.parent_id = any ($1)
                          and below.id <> all ($1))";

/// For a turn that could not be taken back.
pub(crate) const CLOSE: &str = "
    update messages
       set status = 'failed',
           error_code = 'too_many_turns',
           finished_at = created_at
     where id = $1
       and status = 'streaming'";

/// Undoes [`STEP_ASIDE`], where the question that took the place is gone.
pub(crate) const STEP_BACK: &str = "
    update messages
       set id = $2
     where id = $1
       and chat_id = $3
       and not exists (select from messages where id = $2)";

/// Answers, because another answer to an old question is a turn too.
pub(crate) const COUNT_TURNS_SINCE: &str = "
    select count(*), min(created_at)
      from messages
     where user_id = $1
       and role = 'assistant'
       and created_at > $2";
