//! The programs in `.local/bin`, installed where they are missing.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::StackError;
use crate::error::At as _;
use crate::settings::repository;

/// The programs of one `.local` directory.
#[derive(Clone)]
pub(crate) struct Programs {
    bin: PathBuf,
}

impl Programs {
    /// The programs of `part`; runs `local/install part` if one is missing.
    pub(crate) fn installed(local_dir: &Path, part: &str) -> Result<Self, StackError> {
        let programs = Self { bin: local_dir.join("bin") };
        if !programs.complete(part) {
            // Another test process may install at the same time.
            let lock = lock_file(&local_dir.join("install.lock"))?;
            lock.lock().at("lock", local_dir)?;
            if !programs.complete(part) {
                run_installer(local_dir, part)?;
            }
        }
        Ok(programs)
    }

    pub(crate) fn path(&self, program: &str) -> PathBuf {
        self.bin.join(program)
    }

    fn complete(&self, part: &str) -> bool {
        let needed: &[&str] = match part {
            "postgres" => &["initdb", "postgres"],
            _ => &["valkey-server"],
        };
        // `exists` follows links: one whose target was removed counts as missing.
        needed.iter().all(|program| self.path(program).exists())
    }
}

/// Opens (and creates) a lock file. It is never removed: two processes would otherwise lock two files of
/// one name.
pub(crate) fn lock_file(path: &Path) -> Result<File, StackError> {
    File::options().create(true).truncate(false).write(true).open(path).at("open", path)
}

fn run_installer(local_dir: &Path, part: &str) -> Result<(), StackError> {
    let script = repository().join("local/install");
    let status = Command::new(&script)
        .arg(part)
        .env("LOCAL_DIR", local_dir)
        .status()
        .map_err(|source| StackError::Run { program: script.clone(), source, advice: "" })?;
    if status.success() { Ok(()) } else { Err(StackError::Install { script, status }) }
}
