//! Removes all objects of an upload.

use aws_sdk_s3::types::{Delete, ObjectIdentifier};
use shared_core::ids::UserId;
use shared_core::uploads::UploadId;

use crate::error::failed;
use crate::{Files, FilesError, key};

impl Files {
    /// Removes whatever there is of an upload: all objects, in all versions. Idempotent.
    pub async fn remove(&self, user: UserId, upload: UploadId) -> Result<(), FilesError> {
        for prefix in [key::quarantine(user, upload), key::clean_prefix(user, upload)] {
            self.remove_all(&prefix).await?;
        }
        Ok(())
    }

    async fn remove_all(&self, prefix: &str) -> Result<(), FilesError> {
        loop {
            let list = self.client().list_object_versions().bucket(self.bucket()).prefix(prefix);
            let page = list.send().await.map_err(|error| failed(&error))?;
            let versions = page.versions().iter().map(|found| (found.key(), found.version_id()));
            let markers =
                page.delete_markers().iter().map(|found| (found.key(), found.version_id()));
            let objects = versions.chain(markers).map(|(key, version)| {
                let id = ObjectIdentifier::builder().key(key.unwrap_or_default());
                id.set_version_id(version.map(str::to_owned)).build()
            });
            let objects: Vec<_> =
                objects.collect::<Result<_, _>>().map_err(|_| FilesError::NeverSent)?;
            if objects.is_empty() {
                return Ok(());
            }
            self.delete(objects).await?;
            if page.is_truncated() != Some(true) {
                return Ok(());
            }
        }
    }

    async fn delete(&self, objects: Vec<ObjectIdentifier>) -> Result<(), FilesError> {
        let delete = Delete::builder().set_objects(Some(objects)).quiet(true).build();
        let delete = delete.map_err(|_| FilesError::NeverSent)?;
        let request = self.client().delete_objects().bucket(self.bucket()).delete(delete);
        let result = request.send().await.map_err(|error| failed(&error))?;
        match result.errors().first() {
            None => Ok(()),
            Some(error) => {
                Err(FilesError::NotRemoved { code: error.code().unwrap_or("unknown").to_owned() })
            }
        }
    }
}
