//! The routes, from the wire to a [`turn`](crate::turn) or a [`live`](crate::live) log and back.

mod request;
pub(crate) mod resume;
pub(crate) mod send;
pub(crate) mod stop;
mod turn_selector;
