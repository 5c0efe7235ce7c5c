//! URLs by which people get their files.

use std::time::Duration;

use jiff::Timestamp;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use shared_core::ids::UserId;
use shared_core::uploads::{FileForm, FileKind, Filename, UploadId};

use crate::error::failed;
use crate::put::signing;
use crate::{Files, FilesError, key};

/// How long a URL is good for a GET: as long as a page takes to follow the redirect, and no longer.
const GET_WITHIN: Duration = Duration::from_mins(2);

/// What RFC 8187 calls `attr-char`: all others are escaped in `filename*`.
const ESCAPED: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'!')
    .remove(b'#')
    .remove(b'$')
    .remove(b'&')
    .remove(b'+')
    .remove(b'-')
    .remove(b'.')
    .remove(b'^')
    .remove(b'_')
    .remove(b'`')
    .remove(b'|')
    .remove(b'~');

/// A file to download.
#[derive(Clone, Debug)]
pub struct Download<'a> {
    /// The upload.
    pub id: UploadId,
    /// How it is treated.
    pub kind: FileKind,
    /// The media type of the form for people.
    pub media_type: &'a str,
    /// The name under which it is saved.
    pub filename: &'a Filename,
    /// Whether the small form of an image is enough.
    pub is_thumb: bool,
}

impl Download<'_> {
    fn form(&self) -> FileForm {
        match (self.kind, self.is_thumb) {
            (FileKind::Image, true) => FileForm::Thumb,
            (FileKind::Image | FileKind::Text, _) => FileForm::View,
            (FileKind::Pdf, _) => FileForm::Model,
        }
    }

    /// `None`: as it is stored. Text is never served as what it was declared: HTML and SVG would run.
    fn content_type(&self) -> Option<&str> {
        match self.kind {
            FileKind::Image if self.is_thumb => None,
            FileKind::Image | FileKind::Pdf => Some(self.media_type),
            FileKind::Text => Some("text/plain; charset=utf-8"),
        }
    }

    /// Browsers show images and PDFs, and save the rest.
    fn disposition(&self) -> String {
        let how = match self.kind {
            FileKind::Image | FileKind::Pdf => "inline",
            FileKind::Text => "attachment",
        };
        format!("{how}; filename*=UTF-8''{}", utf8_percent_encode(self.filename.as_str(), ESCAPED))
    }
}

impl Files {
    /// Signs a URL that reads a file of the user for two minutes. Makes no request.
    pub async fn presign_get(
        &self,
        user: UserId,
        download: &Download<'_>,
        now: Timestamp,
    ) -> Result<String, FilesError> {
        let get = self
            .client()
            .get_object()
            .bucket(self.bucket())
            .key(key::clean(user, download.id, download.form()))
            .set_response_content_type(download.content_type().map(str::to_owned))
            .response_content_disposition(download.disposition())
            // What a URL returns never changes; the URL does.
            .response_cache_control("private, max-age=120");
        let signed =
            get.presigned(signing(now, GET_WITHIN)?).await.map_err(|error| failed(&error))?;
        Ok(signed.uri().to_owned())
    }
}

#[cfg(test)]
mod tests {
    use shared_core::uploads::Filename;

    use super::*;

    fn disposition(kind: FileKind, name: &str) -> String {
        let id = UploadId::parse("0198c5a0-7b1e-7cc3-98c4-dc0c0c07398f").unwrap();
        let filename = &Filename::clean(name);
        Download { id, kind, media_type: "image/png", filename, is_thumb: false }.disposition()
    }

    #[test]
    fn a_name_cannot_leave_its_parameter() {
        for (name, parameter) in [
            ("a b.png", "a%20b.png"),
            ("\"; filename=\"x.exe", "%22%3B%20filename%3D%22x.exe"),
            ("naïve 🚢.png", "na%C3%AFve%20%F0%9F%9A%A2.png"),
            ("a\r\nset-cookie: b", "aset-cookie%3A%20b"),
            ("100%'.png", "100%25%27.png"),
        ] {
            let expected = format!("inline; filename*=UTF-8''{parameter}");
            assert_eq!(disposition(FileKind::Image, name), expected);
        }
        assert!(disposition(FileKind::Text, "x.html").starts_with("attachment; "));
    }
}
