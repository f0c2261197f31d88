//! Packages for tests, Python's above all, installed by name from the registry as anybody would, and scripts that use them.

use std::collections::BTreeMap;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::Mutex;

use crate::tools;

/// A Python with some packages.
pub(crate) struct Python {
    packages: PathBuf,
}

impl Python {
    /// Python with packages, unless they cannot be had here: then the test that wants them is left out.
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
        let mut command = Command::new("python3");
        command.arg(script).args(args).env("PYTHONPATH", &self.packages).env("PYTHONDONTWRITEBYTECODE", "1");
        // Some leave a file there.
        let home = tempfile::tempdir().unwrap();
        command.env("HOME", home.path()).env("NO_PROXY", "*").output().unwrap()
    }
}

/// The folder with a package's sources as they were published, for what they ship besides.
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

/// Last word of a program that was to get something and could not.
pub(crate) fn said(ran: &Output, what: &str) -> Result<(), String> {
    let why = String::from_utf8_lossy(&ran.stderr);
    let why = why.trim().lines().next_back().unwrap_or("without a word");
    if ran.status.success() { Ok(()) } else { Err(format!("needs {what}, which failed: {why}")) }
}

/// A folder beside what cargo builds that is filled once, however many tests and processes ask for it. None: it cannot be
/// filled here, and the test that wants it is left out.
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
            tools::left_out(&why);
            return None;
        }
        std::fs::write(done, "").unwrap();
    }
    Some(place)
}
