//! The user that Postgres runs as: it refuses root, which is a container's only user.

use std::io;
use std::os::unix::fs::chown;
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Command, Stdio};

/// User and group `nobody`, by number because the group's name differs between systems.
const NOBODY: u32 = 65534;

/// The user of a Postgres.
#[derive(Clone, Copy)]
pub(crate) enum User {
    /// The user of this process.
    Myself,
    /// `nobody`, with the access of any user.
    Nobody,
    /// `nobody` with the capability to bypass file permissions (`CAP_DAC_OVERRIDE`): a checkout under a
    /// directory of mode 0700, programs and data, is out of reach otherwise.
    NobodyWithReach,
}

impl User {
    /// The most capable choice that works on this machine.
    pub(crate) fn of_postgres() -> Self {
        if !rustix::process::geteuid().is_root() {
            return Self::Myself;
        }
        // A container may lack the capability, or have a `setpriv` that does not know it.
        let reaches = Self::NobodyWithReach
            .command(Path::new("true"))
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status()
            .is_ok_and(|status| status.success());
        if reaches { Self::NobodyWithReach } else { Self::Nobody }
    }

    /// A command that runs `program` as this user under the process id of the command: `setpriv` execs the
    /// program.
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
                    // Otherwise `access(2)`, with which Postgres checks its own files, ignores the
                    // capability.
                    .args(["--ambient-caps=+dac_override", "--securebits=+no_setuid_fixup"])
                    .arg("--")
                    .arg(program);
                command
            }
        }
    }

    /// Makes this user the owner of `path`.
    pub(crate) fn own(self, path: &Path) -> io::Result<()> {
        match self {
            Self::Myself => Ok(()),
            Self::Nobody | Self::NobodyWithReach => chown(path, Some(NOBODY), Some(NOBODY)),
        }
    }

    /// A hint for the case that Postgres does not start; begins with a space.
    pub(crate) fn advice(self) -> &'static str {
        match self {
            Self::Myself | Self::NobodyWithReach => "",
            Self::Nobody => {
                " It runs as `nobody`, because it refuses root, and must be able to enter every \
                 directory above its data and its programs: run this as a normal user, or set \
                 LOCAL_DIR to a directory that every user may enter."
            }
        }
    }
}
