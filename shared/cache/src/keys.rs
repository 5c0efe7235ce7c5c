//! Names of keys. The part in braces is the hash tag: keys with one tag share a slot, so a
//! script may access them together.

use std::net::IpAddr;

use shared_core::ids::{MessageId, UserId};

/// The subject of a rate limit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Subject {
    /// A signed-in user.
    User(UserId),
    /// The e-mail address of a login, hashed.
    Address(String),
    /// The client's IP address.
    Source(IpAddr),
    /// All clients together: a global limit.
    Global,
}

impl Subject {
    /// `{prefix}{{tag}}:what`.
    pub(crate) fn key(&self, prefix: &str, what: &str) -> String {
        match self {
            Self::User(user) => format!("{prefix}{{user:{user}}}:{what}"),
            Self::Address(hash) => format!("{prefix}{{address:{hash}}}:{what}"),
            Self::Source(ip) => format!("{prefix}{{source:{}}}:{what}", network(*ip)),
            Self::Global => format!("{prefix}{{global}}:{what}"),
        }
    }
}

/// The key of `what`, of the turn that produces `answer`. Ids of messages are unique per user.
pub(crate) fn turn_key(prefix: &str, user: UserId, answer: &MessageId, what: &str) -> String {
    format!("{prefix}{{turn:{user}:{answer}}}:{what}")
}

/// The network to limit. One customer holds a whole IPv6 /64; a limit per address would be no limit.
fn network(ip: IpAddr) -> String {
    match ip.to_canonical() {
        IpAddr::V4(ip) => ip.to_string(),
        IpAddr::V6(ip) => {
            let [a, b, c, d, ..] = ip.segments();
            format!("{a:x}:{b:x}:{c:x}:{d:x}::/64")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_key_has_a_hash_tag_around_its_subject() {
        let source = Subject::Source("2001:db8:1:2:aaaa::1".parse().unwrap());
        assert_eq!(source.key("t1:", "codes"), "t1:{source:2001:db8:1:2::/64}:codes");
        assert_eq!(
            Subject::Source("::ffff:1.2.3.4".parse().unwrap()).key("", "x"),
            "{source:1.2.3.4}:x"
        );
        assert_eq!(Subject::Address("ab".into()).key("", "code"), "{address:ab}:code");
        let answer = MessageId::parse("answer-1").unwrap();
        let user = UserId(uuid::Uuid::nil());
        assert_eq!(
            turn_key("t1:", user, &answer, "log"),
            "t1:{turn:00000000-0000-0000-0000-000000000000:answer-1}:log"
        );
    }
}
