//! Packages for tests, above all of Python, installed by name from the registry, and scripts that use them.

use std::collections::BTreeMap;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::Mutex;

use crate::left_out::left_out;
use crate::tools;

/// A Python with some packages.
pub(crate) struct Python {
    packages: PathBuf,
}

impl Python {
    /// Returns Python with these packages; `None` if they cannot be installed here, in which case the test is left out.
    pub(crate) fn with(packages: &[&str]) -> Option<Self> {
        if tools::lack(&["python3"]) {
            return None;
        }
        let packages = once(&packages.join("+"), |place| {
            let args = ["install", "--quiet", "--disable-pip-version-check", "--target", place.to_str().unwrap()];
            pip(&[&args, packages].concat())
        });
        packages.map(|packages| Self { packages })
    }

    /// Runs a script of `tests/it`.
    pub(crate) fn run(&self, script: &str, args: &[&str]) -> Output {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it").join(script);
        let mut command = self.command();
        command.arg(script).args(args);
        at_home(command)
    }

    /// Runs a module of one of the packages as a program.
    pub(crate) fn run_module(&self, module: &str, args: &[&str], variables: &[(&str, &str)]) -> Output {
        let mut command = self.command();
        command.args(["-m", module]).args(args).envs(variables.iter().copied());
        at_home(command)
    }

    fn command(&self) -> Command {
        let mut command = Command::new("python3");
        command.env("PYTHONPATH", &self.packages).env("PYTHONDONTWRITEBYTECODE", "1").env("NO_PROXY", "*");
        command
    }
}

/// Runs a command in a home of its own: some packages write a file there.
fn at_home(mut command: Command) -> Output {
    let home = tempfile::tempdir().unwrap();
    command.env("HOME", home.path()).output().unwrap()
}

/// Returns the folder with the published sources of a package, for the data files in them.
pub(crate) fn sources_of(package: &str) -> Option<PathBuf> {
    if tools::lack(&["python3"]) {
        return None;
    }
    once(&format!("{package}.sources"), |place| {
        let place = place.to_str().unwrap();
        let args = ["download", "--quiet", "--disable-pip-version-check", "--no-deps", "--no-binary", ":all:"];
        pip(&[&args[..], &["--dest", place, package]].concat())?;
        let archive = std::fs::read_dir(place).unwrap().next().unwrap().unwrap().path();
        let unpacked = Command::new("python3").args(["-m", "tarfile", "-e"]).arg(archive).arg(place).output().unwrap();
        assert!(unpacked.status.success(), "{}", String::from_utf8_lossy(&unpacked.stderr));
        Ok(())
    })
}

fn pip(args: &[&str]) -> Result<(), String> {
    let ran = Command::new("python3").args(["-m", "pip"]).args(args).output().unwrap();
    said(&ran, &format!("`pip {}`", args.join(" ")))
}

/// Returns the last line of a program that failed to get something.
pub(crate) fn said(ran: &Output, what: &str) -> Result<(), String> {
    let why = String::from_utf8_lossy(&ran.stderr);
    let why = why.trim().lines().next_back().unwrap_or("without a word");
    if ran.status.success() { Ok(()) } else { Err(format!("needs {what}, which failed: {why}")) }
}

/// Returns a folder beside what cargo builds that is filled once for all tests and processes. `None` if it cannot be filled
/// here, in which case the test is left out.
pub(crate) fn once(name: &str, fill: impl FnOnce(&Path) -> Result<(), String>) -> Option<PathBuf> {
    static NOT_TO_BE_HAD: Mutex<BTreeMap<String, String>> = Mutex::new(BTreeMap::new());
    let place = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    let lock = File::create(Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("{name}.lock"))).unwrap();
    lock.lock().unwrap();
    let done = place.join("installed");
    if !done.exists() {
        let known = NOT_TO_BE_HAD.lock().unwrap().get(name).cloned();
        if let Err(why) = known.map_or_else(|| fill(&place), Err) {
            NOT_TO_BE_HAD.lock().unwrap().insert(name.to_owned(), why.clone());
            drop(lock);
            left_out(&why);
            return None;
        }
        std::fs::write(done, "").unwrap();
    }
    Some(place)
}
