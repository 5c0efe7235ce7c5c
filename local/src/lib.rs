//! The whole product on one machine.
//!
//! [`Product`] mounts every function's `app()` on one port, as API Gateway and `CloudFront` do in
//! production: what runs here is what runs on Lambda, behind another door.

mod dev_mailbox;
mod errors;
mod gateway;
mod openapi;
mod product;
mod sweeping;

pub use dev_mailbox::{Announce, DevMailbox};
pub use errors::errors_page;
pub use openapi::openapi;
pub use product::{Product, Wiring};
pub use sweeping::Sweeper;
