//! Which server plays S3 for `make dev`.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;

use local_s3::{LocalS3, LocalS3Error};
use shared_core::env::Env;

use crate::LocalError;

/// S3, or what stands in for it.
pub(crate) enum ObjectStorage {
    /// The local S3, in this process. Its files lie beside the databases.
    Local(LocalS3),
    /// The bucket that `UPLOADS_BUCKET` names.
    Real,
}

impl ObjectStorage {
    pub(crate) async fn choose(
        env: &Env<'_>,
        origin: &str,
        directory: &Path,
    ) -> Result<Self, LocalError> {
        if env.optional("UPLOADS_BUCKET").is_some() {
            return Ok(Self::Real);
        }
        // Fixed, so that a URL that a page holds survives a restart.
        let variable = "LOCAL_S3_PORT";
        let port = env.parsed(variable, 28082)?;
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        match LocalS3::keeping(&directory.join("s3"), address, &[origin]).await {
            Ok(local) => Ok(Self::Local(local)),
            Err(LocalS3Error::Io(source)) => Err(LocalError::Port { port, variable, source }),
            Err(error) => Err(error.into()),
        }
    }

    pub(crate) fn variables(&self) -> Vec<(&'static str, String)> {
        match self {
            Self::Local(local) => local.variables().into(),
            Self::Real => Vec::new(),
        }
    }
}
