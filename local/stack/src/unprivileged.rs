//! Under which user Postgres runs: it refuses root, which is what a container's only user is.

use std::io;
use std::os::unix::fs::chown;
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Command, Stdio};

/// User and group `nobody`, under their numbers because the group's name differs between systems.
const NOBODY: u32 = 65534;

/// The user of a Postgres.
#[derive(Clone, Copy)]
pub(crate) enum User {
    /// Whoever runs this.
    Myself,
    /// `nobody`, who can go where everybody can.
    Nobody,
    /// `nobody`, who passes every directory all the same: a checkout under a directory of mode 0700
    /// is out of reach otherwise, programs and data.
    NobodyWithReach,
}

impl User {
    /// The best that is possible here.
    pub(crate) fn of_postgres() -> Self {
        if !rustix::process::geteuid().is_root() {
            return Self::Myself;
        }
        // A container may have taken the capability away, or not know `setpriv`.
        let reaches = Self::NobodyWithReach
            .command(Path::new("true"))
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status()
            .is_ok_and(|status| status.success());
        if reaches { Self::NobodyWithReach } else { Self::Nobody }
    }

    /// A command that runs `program` as this user, in a process of its own number: `setpriv` becomes
    /// the program and does not start it.
    pub(crate) fn command(self, program: &Path) -> Command {
        match self {
            Self::Myself => Command::new(program),
            Self::Nobody => {
                let mut command = Command::new(program);
                command.uid(NOBODY).gid(NOBODY);
                command
            }
            Self::NobodyWithReach => {
                let mut command = Command::new("setpriv");
                command
                    .arg(format!("--reuid={NOBODY}"))
                    .arg(format!("--regid={NOBODY}"))
                    .args(["--clear-groups", "--inh-caps=+dac_override"])
                    // Otherwise `access`, with which Postgres looks for its own files, goes by the
                    // user alone.
                    .args(["--ambient-caps=+dac_override", "--securebits=+no_setuid_fixup"])
                    .arg("--")
                    .arg(program);
                command
            }
        }
    }

    /// Gives `path` to this user.
    pub(crate) fn own(self, path: &Path) -> io::Result<()> {
        match self {
            Self::Myself => Ok(()),
            Self::Nobody | Self::NobodyWithReach => chown(path, Some(NOBODY), Some(NOBODY)),
        }
    }

    /// What may help where Postgres does not start; begins with a space.
    pub(crate) fn advice(self) -> &'static str {
        match self {
            Self::Myself | Self::NobodyWithReach => "",
            Self::Nobody => {
                " It runs as `nobody`, because it refuses root, and must be able to enter every \
                 directory above its data and its programs: run this as a normal user, or set \
                 LOCAL_DIR to a directory that everybody may enter."
            }
        }
    }
}
