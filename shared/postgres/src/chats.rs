//! `chats`: the head of a tree of messages.

pub(crate) const LOCK: &str = "
    select
      from chats
     where id = $1
       for update";

/// For a turn that is withdrawn: back to the newest message that stays.
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
