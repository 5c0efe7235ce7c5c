//! `chats`: the head of a tree of messages.

/// A chat is made by its first turn. If the id is somebody else's, nothing happens here, and the
/// foreign key of the message refuses the turn.
///
/// A chat that is there is locked until the transaction ends: one turn at a time finds its place, and
/// the next one sees where this one has put the head.
pub(crate) const MAKE_OR_LOCK: &str = "
    with made as (
      insert into chats (id, user_id, title, created_at, updated_at)
      values ($1, $2, $3, $4, $4)
      on conflict (id) do nothing
    )
    select
      from chats
     where id = $1
       for update";

pub(crate) const LOCK: &str = "
    select
      from chats
     where id = $1
       for update";

pub(crate) const MOVE_HEAD: &str = "
    update chats
       set head_id = $2,
           updated_at = $3
     where id = $1";

/// Undoes `MOVE_HEAD` for a turn that is withdrawn: back to the newest message that stays.
pub(crate) const MOVE_HEAD_BACK: &str = "
    update chats
       set head_id = (select id
                        from messages
                       where chat_id = $1
                         and id <> all ($2)
                       order by created_at desc, role
                       limit 1)
     where id = $1
       and head_id = any ($2)";

pub(crate) const FORGET_IF_EMPTY: &str = "
    delete from chats
     where id = $1
       and not exists (select from messages where chat_id = $1)";
