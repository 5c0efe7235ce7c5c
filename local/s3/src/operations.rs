//! The operations of S3's API that the product uses. s3s answers `NotImplemented` for all others.

use std::sync::Arc;

use s3s::dto::{
    ChecksumMode, ChecksumType, CopyObjectInput, CopyObjectOutput, DeleteMarkerEntry,
    DeleteObjectInput, DeleteObjectOutput, DeleteObjectsInput, DeleteObjectsOutput, DeletedObject,
    ETag, ETagCondition, GetObjectInput, GetObjectOutput, HeadObjectInput, HeadObjectOutput,
    ListObjectVersionsInput, ListObjectVersionsOutput, ObjectVersion, ObjectVersionStorageClass,
    PutObjectInput, PutObjectOutput,
};
use s3s::{S3, S3Request, S3Response, S3Result, s3_error};

use crate::store::{Store, is_ours, source};
use crate::versions::{Entry, Precondition, Versions};

/// At most this many entries are in a list, or deleted by one request.
const MAX_ENTRIES: usize = 1000;

/// Completes the output of a read, which `s3s-fs` always gives checksums.
macro_rules! complete {
    ($output:expr, $id:expr, $with_checksum:expr) => {
        $output.version_id = Some($id);
        $output.accept_ranges = Some("bytes".to_owned());
        if $with_checksum {
            $output.checksum_type = Some(ChecksumType::from_static(ChecksumType::FULL_OBJECT));
        } else {
            $output.checksum_crc32 = None;
            $output.checksum_crc32c = None;
            $output.checksum_crc64nvme = None;
            $output.checksum_sha1 = None;
            $output.checksum_sha256 = None;
        }
    };
}

/// The API of the bucket.
pub(crate) struct Api(pub(crate) Arc<Store>);

#[async_trait::async_trait]
impl S3 for Api {
    async fn put_object(
        &self,
        request: S3Request<PutObjectInput>,
    ) -> S3Result<S3Response<PutObjectOutput>> {
        let mut response = self.0.put(request).await?;
        response.output.checksum_type = Some(ChecksumType::from_static(ChecksumType::FULL_OBJECT));
        Ok(response)
    }

    async fn copy_object(
        &self,
        request: S3Request<CopyObjectInput>,
    ) -> S3Result<S3Response<CopyObjectOutput>> {
        is_ours(&request.input.bucket)?;
        let (key, id) = source(&request.input.copy_source)?;
        let from = self.0.versions().find(key, id)?.0.id.clone();
        // s3s does not read them.
        let header = |name| {
            let value = request
                .headers
                .get(name)
                .map(|value| ETagCondition::parse_http_header(value.as_bytes()));
            value.transpose().map_err(|error| s3_error!(error, InvalidArgument))
        };
        let condition = Precondition::of_write(
            header(http::header::IF_MATCH)?,
            header(http::header::IF_NONE_MATCH)?,
        )?;
        self.0.copy(from, condition, request).await
    }

    async fn get_object(
        &self,
        mut request: S3Request<GetObjectInput>,
    ) -> S3Result<S3Response<GetObjectOutput>> {
        let input = &mut request.input;
        is_ours(&input.bucket)?;
        let condition = Precondition {
            if_match: input.if_match.take(),
            if_none_match: input.if_none_match.take(),
        };
        let id = self.0.readable(&input.key, input.version_id.as_deref(), &condition)?;
        let with_checksum = is_enabled(input.checksum_mode.as_ref());
        input.key.clone_from(&id);
        let mut response = self.0.objects.get_object(request).await?;
        complete!(response.output, id, with_checksum);
        Ok(response)
    }

    async fn head_object(
        &self,
        mut request: S3Request<HeadObjectInput>,
    ) -> S3Result<S3Response<HeadObjectOutput>> {
        let input = &mut request.input;
        is_ours(&input.bucket)?;
        let condition = Precondition {
            if_match: input.if_match.take(),
            if_none_match: input.if_none_match.take(),
        };
        let id = self.0.readable(&input.key, input.version_id.as_deref(), &condition)?;
        let with_checksum = is_enabled(input.checksum_mode.as_ref());
        input.key.clone_from(&id);
        let mut response = self.0.objects.head_object(request).await?;
        complete!(response.output, id, with_checksum);
        Ok(response)
    }

    async fn delete_object(
        &self,
        request: S3Request<DeleteObjectInput>,
    ) -> S3Result<S3Response<DeleteObjectOutput>> {
        let input = request.input;
        is_ours(&input.bucket)?;
        if input.if_match.is_some() {
            return Err(s3_error!(NotImplemented));
        }
        let deletion =
            self.0.change(|versions| Ok(delete(versions, &input.key, input.version_id)))?;
        if let Some(id) = &deletion.erased {
            self.0.erase(id);
        }
        let output = DeleteObjectOutput {
            delete_marker: deletion.concerns_marker.then_some(true),
            version_id: Some(deletion.version),
            ..DeleteObjectOutput::default()
        };
        Ok(S3Response::new(output))
    }

    async fn delete_objects(
        &self,
        request: S3Request<DeleteObjectsInput>,
    ) -> S3Result<S3Response<DeleteObjectsOutput>> {
        let input = request.input;
        is_ours(&input.bucket)?;
        let objects = input.delete.objects;
        if objects.is_empty() || objects.len() > MAX_ENTRIES {
            return Err(s3_error!(MalformedXML));
        }
        let conditional = |object: &s3s::dto::ObjectIdentifier| {
            object.e_tag.is_some() || object.size.is_some() || object.last_modified_time.is_some()
        };
        if objects.iter().any(conditional) {
            return Err(s3_error!(NotImplemented));
        }
        let (mut deleted, mut erased) = (Vec::new(), Vec::new());
        self.0.change(|versions| {
            for object in objects {
                let named = object.version_id.clone();
                let deletion = delete(versions, &object.key, object.version_id);
                deleted.push(DeletedObject {
                    key: Some(object.key),
                    delete_marker: deletion.concerns_marker.then_some(true),
                    delete_marker_version_id: deletion.concerns_marker.then_some(deletion.version),
                    version_id: named,
                });
                erased.extend(deletion.erased);
            }
            Ok(())
        })?;
        for id in &erased {
            self.0.erase(id);
        }
        let is_quiet = input.delete.quiet == Some(true);
        let deleted = (!is_quiet).then_some(deleted);
        Ok(S3Response::new(DeleteObjectsOutput { deleted, ..DeleteObjectsOutput::default() }))
    }

    async fn list_object_versions(
        &self,
        request: S3Request<ListObjectVersionsInput>,
    ) -> S3Result<S3Response<ListObjectVersionsOutput>> {
        let input = request.input;
        is_ours(&input.bucket)?;
        if input.delimiter.is_some() || input.encoding_type.is_some() {
            return Err(s3_error!(NotImplemented));
        }
        let max = input.max_keys.unwrap_or(1000);
        let limit = usize::try_from(max).map_err(|error| s3_error!(error, InvalidArgument))?;
        let prefix = input.prefix.clone().unwrap_or_default();
        let after = input.key_marker.as_deref().filter(|key| !key.is_empty());
        let after = after.map(|key| (key, input.version_id_marker.as_deref()));
        let page = self.0.versions().page(&prefix, after, limit.min(MAX_ENTRIES));
        let last = page.entries.last().filter(|_| page.is_truncated);
        let last = last.map(|last| (last.key.clone(), last.version.id.clone()));
        let (next_key_marker, next_version_id_marker) = last.unzip();
        let (mut objects, mut markers) = (Vec::new(), Vec::new());
        for entry in page.entries {
            listed(entry, &mut objects, &mut markers);
        }
        Ok(S3Response::new(ListObjectVersionsOutput {
            name: Some(input.bucket),
            prefix: input.prefix,
            key_marker: input.key_marker,
            version_id_marker: input.version_id_marker,
            max_keys: Some(max),
            is_truncated: Some(page.is_truncated),
            next_key_marker,
            next_version_id_marker,
            versions: Some(objects),
            delete_markers: Some(markers),
            ..ListObjectVersionsOutput::default()
        }))
    }
}

impl Store {
    /// The id of the version to read.
    fn readable(&self, key: &str, id: Option<&str>, condition: &Precondition) -> S3Result<String> {
        let versions = self.versions();
        let (version, object) = versions.find(key, id)?;
        condition.check_read(object)?;
        Ok(version.id.clone())
    }
}

struct Deletion {
    /// The version that was deleted, or the marker that was added.
    version: String,
    /// Whether that is a delete marker.
    concerns_marker: bool,
    /// The version whose object is to be erased.
    erased: Option<String>,
}

/// Deletes a version for good, or hides the key behind a delete marker, also one that never existed.
fn delete(versions: &mut Versions, key: &str, id: Option<String>) -> Deletion {
    match id {
        None => Deletion { version: versions.add_marker(key), concerns_marker: true, erased: None },
        Some(id) => {
            let removed = versions.remove(key, &id);
            let is_object = removed.as_ref().is_some_and(|version| version.object.is_some());
            Deletion {
                concerns_marker: removed.is_some() && !is_object,
                erased: is_object.then(|| id.clone()),
                version: id,
            }
        }
    }
}

fn listed(entry: Entry, objects: &mut Vec<ObjectVersion>, markers: &mut Vec<DeleteMarkerEntry>) {
    let Entry { key, version, is_latest } = entry;
    match version.object {
        Some(object) => objects.push(ObjectVersion {
            key: Some(key),
            version_id: Some(version.id),
            is_latest: Some(is_latest),
            last_modified: Some(version.last_modified),
            e_tag: Some(ETag::Strong(object.e_tag)),
            size: Some(object.size),
            storage_class: Some(ObjectVersionStorageClass::from_static(
                ObjectVersionStorageClass::STANDARD,
            )),
            ..ObjectVersion::default()
        }),
        None => markers.push(DeleteMarkerEntry {
            key: Some(key),
            version_id: Some(version.id),
            is_latest: Some(is_latest),
            last_modified: Some(version.last_modified),
            ..DeleteMarkerEntry::default()
        }),
    }
}

fn is_enabled(mode: Option<&ChecksumMode>) -> bool {
    mode.is_some_and(|mode| mode.as_str() == ChecksumMode::ENABLED)
}
