//! Tests that run on Node, for packages that exist on npm only.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use crate::repository;

/// A folder with a `package.json`, a lock file and tests.
#[derive(Debug)]
pub struct NpmProject {
    directory: PathBuf,
}

impl NpmProject {
    /// The folder at this path of the repository, with its dependencies: runs `npm ci`, unless `node_modules` was made from
    /// the same lock file.
    pub fn installed(path: impl AsRef<Path>) -> Self {
        let project = Self { directory: repository().join(path) };
        let made_from = project.directory.join("node_modules/.made-from.json");
        let lock = fs::read(project.directory.join("package-lock.json")).unwrap();
        if fs::read(&made_from).is_ok_and(|installed| installed == lock) {
            return project;
        }
        let mut npm = project.program("npm");
        let installed = npm.args(["ci", "--no-audit", "--no-fund"]).output();
        let installed = installed.expect("npm installs the dependencies");
        assert!(installed.status.success(), "{}", output_text(&installed));
        fs::write(made_from, lock).unwrap();
        project
    }

    /// Runs its tests, with these environment variables besides those of this process.
    pub fn test<'a>(&self, variables: impl IntoIterator<Item = (&'a str, String)>) -> Output {
        self.program("node")
            .args(["--test", "--test-reporter=spec", "--test-timeout=60000"])
            .envs(variables)
            .output()
            .expect("Node 20 or newer runs these tests")
    }

    fn program(&self, name: &str) -> Command {
        let mut command = Command::new(name);
        command.current_dir(&self.directory);
        command
    }
}

/// What a program has written.
pub fn output_text(output: &Output) -> String {
    let stdout = String::from_utf8_lossy(&output.stdout);
    let stderr = String::from_utf8_lossy(&output.stderr);
    format!("{stdout}{stderr}")
}
