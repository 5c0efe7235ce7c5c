//! Users' files in S3.
//!
//! ```text
//! quarantine/<user>/<upload>            as the client sent it, by a URL that is good for one PUT
//! clean/<user>/<upload>/view            what people get of an image or a text
//!                       model           what models get; of a PDF, what people get, too
//!                       thumb           of an image
//! ```
//!
//! A key holds ids alone, never a name. The functions' roles limit what each may do: `presign` puts into quarantine and reads
//! what is clean (through the URLs that it signs), `inspect` reads quarantine and writes what is clean, `chat-stream` reads
//! what is clean, `sweep` removes. None but `sweep` may list, so S3 answers 403 for an object that is not there: here that is
//! the same as 404.

mod config;
mod download;
mod error;
mod files;
mod keep;
mod key;
mod put;
mod read;
mod remove;

pub use config::FilesConfig;
pub use download::Download;
pub use error::FilesError;
pub use files::Files;
pub use keep::ReceivedFile;
pub use put::{PUT_WITHIN, PresignedPut};
