//! `chats`: the head of a tree of messages.

/// For a turn that is withdrawn, if its answer is there; whoever takes it back holds the chat.
pub(crate) const UNCOUNT_TURN: &str = "
    update chats
       set turns = greatest(turns - 1, 0)
     where id = $1
       and exists (select from messages where id = $2)";

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
