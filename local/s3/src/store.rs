//! A versioned bucket over `s3s-fs`, which has no versions: each version is one object of `s3s-fs`, whose key is the
//! version's id, and a file says which versions each key has.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::Bytes;
use futures_util::TryStreamExt;
use http::{Extensions, HeaderMap, Method, Uri};
use s3s::dto::{CopyObjectInput, CopyObjectOutput, GetObjectInput, HeadObjectInput};
use s3s::dto::{PutObjectInput, PutObjectOutput, StreamingBlob};
use s3s::{Body, S3, S3Error, S3Request, S3Response, S3Result, s3_error};
use s3s_fs::FileSystem;

use crate::cors::no_such_bucket;
use crate::versions::{Object, Precondition, Version, Versions};
use crate::{BUCKET, LocalS3Error};

/// What S3 answers for an object that was stored without a type.
const UNKNOWN_TYPE: &str = "binary/octet-stream";

/// The bucket.
pub(crate) struct Store {
    /// Where `s3s-fs` stores.
    root: PathBuf,
    pub(crate) objects: FileSystem,
    versions: Mutex<Versions>,
    /// Where the versions of each key are written after each change.
    file: PathBuf,
}

impl Store {
    /// Opens the store in `directory`, or creates it.
    pub(crate) fn open(directory: &Path) -> Result<Self, LocalS3Error> {
        let (root, file) = (directory.join("objects"), directory.join("versions.json"));
        std::fs::create_dir_all(root.join(BUCKET))?;
        let versions = match std::fs::read(&file) {
            Ok(json) => serde_json::from_slice(&json)?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => Versions::default(),
            Err(error) => return Err(error.into()),
        };
        let objects =
            FileSystem::new(&root).map_err(|error| LocalS3Error::Storage(format!("{error:?}")))?;
        let store = Self { root, objects, versions: Mutex::new(versions), file };
        store.erase_uncommitted()?;
        Ok(store)
    }

    pub(crate) fn versions(&self) -> MutexGuard<'_, Versions> {
        self.versions.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Changes the index in one step. If that fails, or cannot be written, nothing changes.
    pub(crate) fn change<T>(
        &self,
        change: impl FnOnce(&mut Versions) -> S3Result<T>,
    ) -> S3Result<T> {
        let mut versions = self.versions();
        let mut changed = versions.clone();
        let result = change(&mut changed)?;
        self.write(&changed).map_err(S3Error::internal_error)?;
        *versions = changed;
        Ok(result)
    }

    fn write(&self, versions: &Versions) -> io::Result<()> {
        // Renaming replaces a file in one step: a process that is killed leaves a complete one.
        let new = self.file.with_extension("new");
        std::fs::write(&new, serde_json::to_vec(versions)?)?;
        std::fs::rename(&new, &self.file)
    }

    /// Stores the request's body as a new version of its key.
    pub(crate) async fn put(
        &self,
        mut request: S3Request<PutObjectInput>,
    ) -> S3Result<S3Response<PutObjectOutput>> {
        let input = &mut request.input;
        is_ours(&input.bucket)?;
        let condition = Precondition::of_write(input.if_match.take(), input.if_none_match.take())?;
        // Early as well, so that nothing is stored that will be refused.
        condition.check_write(&self.versions(), &input.key)?;
        input.content_type.get_or_insert_with(|| UNKNOWN_TYPE.to_owned());
        let id = self.versions().new_id();
        let key = std::mem::replace(&mut input.key, id.clone());
        let stored = self.objects.put_object(request).await;
        let mut response = self.commit(&key, &id, &condition, stored).await?;
        response.output.version_id = Some(id);
        Ok(response)
    }

    /// Copies the object of the version `source` to a new version of the request's key.
    pub(crate) async fn copy(
        &self,
        source: String,
        condition: Precondition,
        mut request: S3Request<CopyObjectInput>,
    ) -> S3Result<S3Response<CopyObjectOutput>> {
        let input = &mut request.input;
        input.copy_source = s3s::dto::CopySource::Bucket {
            bucket: BUCKET.into(),
            key: source.clone().into(),
            version_id: None,
        };
        input.content_type.get_or_insert_with(|| UNKNOWN_TYPE.to_owned());
        let id = self.versions().new_id();
        let key = std::mem::replace(&mut input.key, id.clone());
        let stored = self.objects.copy_object(request).await;
        let mut response = self.commit(&key, &id, &condition, stored).await?;
        response.output.version_id = Some(id);
        response.output.copy_source_version_id = Some(source);
        Ok(response)
    }

    /// Makes what was `stored` under `id` the current version of `key`, or removes it.
    async fn commit<T>(
        &self,
        key: &str,
        id: &str,
        condition: &Precondition,
        stored: S3Result<S3Response<T>>,
    ) -> S3Result<S3Response<T>> {
        let committed = match stored {
            Ok(response) => self.add(key, id, condition).await.map(|()| response),
            Err(error) => Err(error),
        };
        if committed.is_err() {
            // `s3s-fs` compares a checksum only after it has stored the body.
            self.erase(id);
        }
        committed
    }

    async fn add(&self, key: &str, id: &str, condition: &Precondition) -> S3Result<()> {
        let asked =
            HeadObjectInput { bucket: BUCKET.into(), key: id.into(), ..HeadObjectInput::default() };
        let stored = self.objects.head_object(unsigned(asked)).await?.output;
        let object = Object {
            size: stored.content_length.unwrap_or_default(),
            e_tag: stored.e_tag.map(s3s::dto::ETag::into_value).unwrap_or_default(),
        };
        let last_modified = stored.last_modified.unwrap_or_default();
        let version = Version { id: id.to_owned(), last_modified, object: Some(object) };
        self.change(|versions| {
            // Decisive: of two writes at once, the first has been committed.
            condition.check_write(versions, key)?;
            versions.add(key, version);
            Ok(())
        })
    }

    /// Deletes the object of a version, and what `s3s-fs` stores beside it and leaves.
    pub(crate) fn erase(&self, id: &str) {
        let (bucket, key) = (URL_SAFE_NO_PAD.encode(BUCKET), URL_SAFE_NO_PAD.encode(id));
        let beside =
            |what: &str| self.root.join(format!(".bucket-{bucket}.object-{key}.{what}.json"));
        for path in [self.root.join(BUCKET).join(id), beside("metadata"), beside("internal")] {
            // It may never have been written.
            let _ = std::fs::remove_file(path);
        }
    }

    /// Deletes what a process that was killed has stored but not committed.
    fn erase_uncommitted(&self) -> io::Result<()> {
        for entry in std::fs::read_dir(self.root.join(BUCKET))? {
            let name = entry?.file_name();
            if let Some(id) = name.to_str().filter(|id| !self.versions().has(id)) {
                self.erase(id);
            }
        }
        Ok(())
    }

    /// The bytes and the type of a key's current object, without a request.
    pub(crate) async fn object(&self, key: &str) -> Option<(Bytes, String)> {
        let id = self.versions().find(key, None).ok()?.0.id.clone();
        let asked = GetObjectInput { bucket: BUCKET.into(), key: id, ..GetObjectInput::default() };
        let found = self.objects.get_object(unsigned(asked)).await.ok()?.output;
        let chunks: Vec<Bytes> = found.body?.try_collect().await.ok()?;
        Some((chunks.concat().into(), found.content_type?))
    }

    /// Stores an object without a request.
    pub(crate) async fn put_object(
        &self,
        key: &str,
        bytes: Bytes,
        content_type: &str,
    ) -> S3Result<()> {
        let input = PutObjectInput {
            bucket: BUCKET.into(),
            key: key.into(),
            body: Some(StreamingBlob::from(Body::from(bytes))),
            content_type: Some(content_type.to_owned()),
            ..PutObjectInput::default()
        };
        self.put(unsigned(input)).await.map(|_| ())
    }
}

pub(crate) fn is_ours(bucket: &str) -> S3Result<()> {
    if bucket == BUCKET { Ok(()) } else { Err(no_such_bucket()) }
}

/// The source of a copy, which must be in the bucket: key and version.
pub(crate) fn source(source: &s3s::dto::CopySource) -> S3Result<(&str, Option<&str>)> {
    match source {
        s3s::dto::CopySource::Bucket { bucket, key, version_id } => {
            is_ours(bucket)?;
            Ok((key, version_id.as_deref()))
        }
        s3s::dto::CopySource::AccessPoint { .. } | s3s::dto::CopySource::Outpost { .. } => {
            Err(s3_error!(NotImplemented))
        }
    }
}

fn unsigned<T>(input: T) -> S3Request<T> {
    S3Request {
        input,
        method: Method::default(),
        uri: Uri::default(),
        headers: HeaderMap::new(),
        extensions: Extensions::new(),
        credentials: None,
        region: None,
        service: None,
        trailing_headers: None,
    }
}
