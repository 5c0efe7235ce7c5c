//! The whole product on one machine.
//!
//! [`Product`] mounts every function's `app()` on one port, as API Gateway and `CloudFront` do in
//! production: the code that runs here runs on Lambda, behind another entry point.

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
