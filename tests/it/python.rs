//! Packages for tests, Python's above all, installed by name from the registry as anybody would, and scripts that use them.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// A Python with some packages.
pub(crate) struct Python {
    packages: PathBuf,
}

impl Python {
    /// A machine without Python is told what it lacks.
    pub(crate) fn with(packages: &[&str]) -> Self {
        let packages = once(&packages.join("+"), |place| {
            let args = ["install", "--quiet", "--disable-pip-version-check", "--target", place.to_str().unwrap()];
            pip(&[&args, packages].concat());
        });
        Self { packages }
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
pub(crate) fn sources_of(package: &str) -> PathBuf {
    once(&format!("{package}.sources"), |place| {
        let place = place.to_str().unwrap();
        let args = ["download", "--quiet", "--disable-pip-version-check", "--no-deps", "--no-binary", ":all:"];
        pip(&[&args[..], &["--dest", place, package]].concat());
        let archive = std::fs::read_dir(place).unwrap().next().unwrap().unwrap().path();
        let unpacked = Command::new("python3").args(["-m", "tarfile", "-e"]).arg(archive).arg(place).output().unwrap();
        assert!(unpacked.status.success(), "{}", String::from_utf8_lossy(&unpacked.stderr));
    })
}

fn pip(args: &[&str]) {
    let ran = Command::new("python3").args(["-m", "pip"]).args(args).output();
    let ran = ran.expect("these tests need python3 with pip, to hold the program against what others made");
    assert!(ran.status.success(), "pip {}: {}", args.join(" "), String::from_utf8_lossy(&ran.stderr));
}

/// A folder beside what cargo builds that is filled once, however many tests and processes ask for it.
pub(crate) fn once(name: &str, fill: impl FnOnce(&Path)) -> PathBuf {
    let place = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    let lock = File::create(Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("{name}.lock"))).unwrap();
    lock.lock().unwrap();
    let done = place.join("installed");
    if !done.exists() {
        fill(&place);
        std::fs::write(done, "").unwrap();
    }
    place
}
