//! Programs of others that some tests need, and not every machine has. A test that lacks one is left out, and says so; where
//! tests decide whether a change goes in (`CI` is set), it fails.

use std::io::Write as _;
use std::path::PathBuf;

/// Whether one of these is missing; then the test is to return.
pub(crate) fn lack(programs: &[&str]) -> bool {
    let missing: Vec<&str> = programs.iter().copied().filter(|program| find(program).is_none()).collect();
    !missing.is_empty() && left_out(&format!("needs {}", missing.join(" and ")))
}

/// Says that the test is left out, and why; or fails.
///
/// # Panics
///
/// Where nothing may be left out.
pub(crate) fn left_out(why: &str) -> bool {
    assert!(std::env::var_os("CI").is_none_or(|set| set.is_empty()), "{why}");
    let thread = std::thread::current();
    let line = format!("left out: {}: {why}\n", thread.name().unwrap_or("a test"));
    // What is printed by a macro is shown of failed tests alone; this is written past them. One that is left out passes.
    _ = std::io::stderr().write_all(format!("\n{line}").as_bytes());
    if let Some(list) = std::env::var_os("TESTS_LEFT_OUT") {
        let file = std::fs::OpenOptions::new().create(true).append(true).open(list);
        file.unwrap().write_all(line.as_bytes()).unwrap();
    }
    true
}

/// Where a program is.
pub(crate) fn find(program: &str) -> Option<PathBuf> {
    use std::os::unix::fs::PermissionsExt as _;
    let path = std::env::var_os("PATH").unwrap_or_default();
    let is_program = |place: &PathBuf| {
        std::fs::metadata(place).is_ok_and(|found| found.is_file() && found.permissions().mode() & 0o111 != 0)
    };
    let named = |folder: PathBuf| names_of(program).iter().map(move |name| folder.join(name)).find(is_program);
    std::env::split_paths(&path).find_map(named)
}

/// What a program may be called.
fn names_of(program: &str) -> Vec<&str> {
    if program == "chromium" { vec!["chromium", "chromium-browser", "google-chrome"] } else { vec![program] }
}

#[test]
fn what_a_machine_lacks_is_named_at_once_and_nothing_is_built() {
    let lab = crate::lab::Lab::new();
    let folder = lab.path("bin");
    std::fs::create_dir(&folder).unwrap();
    for program in ["cat", "dirname", "id"] {
        std::os::unix::fs::symlink(find(program).unwrap(), folder.join(program)).unwrap();
    }
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/run");
    let mut command = std::process::Command::new(find("sh").unwrap());
    let ran = command.arg(script).env_clear().env("PATH", &folder).output().unwrap();
    let (out, err) = (String::from_utf8_lossy(&ran.stdout), String::from_utf8_lossy(&ran.stderr));
    assert_eq!((ran.status.code(), out.as_ref()), (Some(1), ""), "{err}");
    for lacking in ["a C compiler", "make", "ssh-keygen", "chromium", "node", "npm", "python3", "pip", "cargo"] {
        assert!(err.contains(lacking), "{lacking}: {err}");
    }
    assert!(err.contains("apt-get install gcc make openssh-client chromium nodejs npm python3 python3-pip"), "{err}");
}
