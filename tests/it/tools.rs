//! Other programs that some tests need and not every machine has. A test that lacks one is left out, and says so; in CI (`CI`
//! is set) it fails.

use std::path::PathBuf;

use crate::left_out::left_out;

/// Tells whether one of these programs is missing; the test then returns.
pub(crate) fn lack(programs: &[&str]) -> bool {
    let missing: Vec<&str> = programs.iter().copied().filter(|program| find(program).is_none()).collect();
    !missing.is_empty() && left_out(&format!("needs {}", missing.join(" and ")))
}

/// Returns the path of a program.
pub(crate) fn find(program: &str) -> Option<PathBuf> {
    use std::os::unix::fs::PermissionsExt as _;
    let path = std::env::var_os("PATH").unwrap_or_default();
    let is_program = |place: &PathBuf| {
        std::fs::metadata(place).is_ok_and(|found| found.is_file() && found.permissions().mode() & 0o111 != 0)
    };
    let named = |folder: PathBuf| names_of(program).iter().map(move |name| folder.join(name)).find(is_program);
    std::env::split_paths(&path).find_map(named)
}

/// Value of `LD_PRELOAD` by which programs see another time of day; `None` where there is no libfaketime.
pub(crate) fn faketime() -> Option<String> {
    if lack(&["faketime"]) {
        return None;
    }
    // The loader fills in the folder that its distribution keeps it in; only the command knows it.
    let shown = std::process::Command::new("faketime")
        .args(["-m", "-f", "+0", "sh", "-c", "echo $LD_PRELOAD"])
        .output()
        .unwrap();
    Some(String::from_utf8(shown.stdout).unwrap().trim().to_owned())
}

/// Returns the names that a program may have.
fn names_of(program: &str) -> Vec<&str> {
    if program == "chromium" { vec!["chromium", "chromium-browser", "google-chrome"] } else { vec![program] }
}

/// Programs that the tests need, each with its Debian package.
const NEEDED: [(&str, &str); 15] = [
    ("cc", "gcc"),
    ("make", "make"),
    ("ssh-keygen", "openssh-client"),
    ("chromium", "chromium"),
    ("node", "nodejs"),
    ("npm", "npm"),
    ("python3", "python3"),
    ("script", "bsdutils"),
    ("setpriv", "util-linux"),
    ("sudo", "sudo"),
    ("faketime", "faketime"),
    ("sqlite3", "sqlite3"),
    ("promtool", "prometheus"),
    ("cron", "cron"),
    ("systemd-analyze", "systemd"),
];

/// Programs that every Debian has, or that come with one of the packages above.
const THERE_ANYWAY: [&str; 9] =
    ["bash", "chown", "id", "sha256sum", "ssh-add", "ssh-agent", "timeout", "unshare", "zic"];

/// A simulated machine with few programs, on which `tests/run` is tried. It records what is asked of them.
struct Machine {
    lab: crate::lab::home::Lab,
}

impl Machine {
    fn new() -> Self {
        let lab = crate::lab::home::Lab::new();
        for folder in ["bin", "shop"] {
            std::fs::create_dir(lab.path(folder)).unwrap();
        }
        let machine = Self { lab };
        for own in ["sh", "cat", "dirname", "id", "env", "ln", "mktemp", "rm", "true"] {
            std::os::unix::fs::symlink(find(own).unwrap(), machine.lab.path("bin").join(own)).unwrap();
        }
        for (program, _) in NEEDED {
            machine.add("shop", program, "");
        }
        machine
    }

    fn add(&self, folder: &str, program: &str, does: &str) {
        use std::os::unix::fs::PermissionsExt as _;
        let place = self.lab.path(folder).join(program);
        _ = std::fs::remove_file(&place);
        std::fs::write(&place, format!("#!/bin/sh\n{does}\n")).unwrap();
        std::fs::set_permissions(&place, std::fs::Permissions::from_mode(0o755)).unwrap();
    }

    /// Sets the user, which is root for 0.
    fn user(self, id: u32) -> Self {
        self.add("bin", "id", &format!("echo {id}"));
        self
    }

    fn cargo(self) -> Self {
        self.add("bin", "cargo", r#"echo "cargo $*" >> "$LOG""#);
        self
    }

    fn sudo(self) -> Self {
        self.add("bin", "sudo", r#"echo "sudo $1" >> "$LOG"; [ "$1" != -n ] || shift; exec "$@""#);
        self
    }

    /// Adds an `apt-get` that installs everything it is asked for, or nothing if it lacks one package.
    fn apt(self, not_to_be_had: &str) -> Self {
        let packages = NEEDED.map(|(program, package)| format!("{package}) program={program} ;;")).join("\n    ");
        let does = format!(
            r#"echo "apt-get $*" >> "$LOG"
if [ "$1" = update ]; then [ '{not_to_be_had}' = '' ]; exit; fi
case " $* " in *" {not_to_be_had} "*) exit 100 ;; esac
for package in "$@"; do
    program=''
    case $package in
    {packages}
    esac
    [ "$program" = '' ] || ln -sf "$SHOP/$program" "$BIN/$program"
done"#
        );
        self.add("bin", "apt-get", &does);
        self
    }

    fn has(self, programs: &[&str]) -> Self {
        for program in programs {
            self.add("bin", program, "");
        }
        self
    }

    /// Returns the exit code, the programs reported as missing, and the commands that were run.
    fn runs(&self, args: &[&str]) -> (Option<i32>, String, Vec<String>) {
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/run");
        let mut command = std::process::Command::new(find("sh").unwrap());
        command.arg(script).args(args).env_clear().env("PATH", self.lab.path("bin"));
        for (name, at) in [("BIN", "bin"), ("SHOP", "shop"), ("LOG", "asked")] {
            command.env(name, self.lab.path(at));
        }
        let ran = command.stdin(std::process::Stdio::null()).output().unwrap();
        let asked = std::fs::read_to_string(self.lab.path("asked")).unwrap_or_default();
        let asked = asked.lines().map(str::to_owned).collect();
        (ran.status.code(), String::from_utf8_lossy(&ran.stderr).into_owned(), asked)
    }
}

const PACKAGES: &str = "gcc make openssh-client chromium nodejs npm python3 python3-pip bsdutils util-linux sudo faketime sqlite3 prometheus cron systemd";
const UPDATE: &str = "apt-get update";
const INSTALL: &str = "apt-get install -y --no-install-recommends";

#[test]
fn what_a_machine_lacks_is_named_at_once_and_nothing_is_built() {
    let nobody_may = [Machine::new(), Machine::new().user(1000).apt("")];
    for machine in nobody_may {
        let (code, err, asked) = machine.runs(&[]);
        assert_eq!((code, &asked[..]), (Some(1), &[][..]), "{err}");
        for lacking in ["a C compiler", "make", "ssh-keygen", "chromium", "node", "npm", "python3", "pip", "cargo"] {
            assert!(err.contains(lacking), "{lacking}: {err}");
        }
        assert!(err.contains(&format!("On Debian: apt-get install {PACKAGES}\n")), "{err}");
    }
    // Without cargo no test can run, so that nothing is installed.
    let (code, err, asked) = Machine::new().user(0).apt("").runs(&[]);
    assert_eq!((code, &asked[..]), (Some(1), &[][..]), "{err}");
    assert!(err.contains("cargo: https://rustup.rs") && err.contains("chromium"), "{err}");
    let (code, err, _) = Machine::new().user(0).has(&NEEDED.map(|(program, _)| program)).runs(&[]);
    assert_eq!(code, Some(1));
    assert!(err.contains("cargo: https://rustup.rs") && !err.contains("apt-get"), "{err}");
}

#[test]
fn what_a_machine_lacks_is_installed_where_that_may_be_done() {
    let test = "cargo test --locked nights";
    let root = Machine::new().user(0).cargo().apt("");
    let (code, err, asked) = root.runs(&["nights"]);
    assert_eq!(code, Some(0), "{err}");
    assert_eq!(asked, [UPDATE, &format!("{INSTALL} {PACKAGES}"), test]);
    let (_, _, asked) = root.runs(&["--only-install"]);
    assert_eq!(asked.len(), 3, "all of it is there: {asked:?}");

    let with_sudo = Machine::new().user(1000).cargo().sudo().apt("").has(&["cc", "make", "chromium", "script"]);
    let (code, err, asked) = with_sudo.runs(&["nights"]);
    assert_eq!(code, Some(0), "{err}");
    let packages = "openssh-client nodejs npm python3 python3-pip util-linux faketime sqlite3 prometheus cron systemd";
    let sudo_install = format!("{INSTALL} {packages}");
    assert_eq!(asked, ["sudo -n", "sudo apt-get", UPDATE, "sudo env", &sudo_install, test]);
}

/// The tests of the room that a build has by choice come first, so that what it depends on is there for the others.
#[test]
fn without_arguments_all_is_tested_and_else_what_they_name() {
    let machine = Machine::new().user(0).cargo().has(&NEEDED.map(|(program, _)| program));
    let (code, err, asked) = machine.runs(&[]);
    assert_eq!(code, Some(0), "{err}");
    assert_eq!(asked, ["cargo test --locked --features cluster --lib --test it cluster::", "cargo test --locked"]);
    let (_, _, asked) = machine.runs(&["week"]);
    assert_eq!(asked[2..], ["cargo test --locked week"]);
}

#[test]
fn what_cannot_be_installed_keeps_nothing_else_from_being_so_and_is_named() {
    let machine = Machine::new().user(0).cargo().apt("chromium");
    let (code, err, asked) = machine.runs(&[]);
    assert_eq!(code, Some(1), "{err}");
    assert!(err.contains("apt-get install chromium\n") && !err.contains("node:"), "{err}");
    let each = PACKAGES.split(' ').map(|package| format!("{INSTALL} {package}"));
    let all = [UPDATE.to_owned(), format!("{INSTALL} {PACKAGES}")].into_iter().chain(each);
    assert_eq!(asked, all.collect::<Vec<_>>());
}

/// Such a test would fail at the very end in CI, and be left out silently elsewhere.
#[test]
fn no_test_needs_a_program_that_nobody_is_told_of() {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/it")).unwrap() {
        let Ok(text) = std::fs::read_to_string(entry.unwrap().path()) else { continue };
        for asked in text.split(concat!("lack(", "&[")).skip(1).filter_map(|rest| rest.split_once(']')) {
            found.extend(asked.0.split('"').skip(1).step_by(2).map(str::to_owned));
        }
    }
    found.retain(|program| !program.is_empty());
    assert!(found.iter().any(|program| program == "setpriv"), "{found:?}");
    let is_known = |program: &&String| {
        NEEDED.iter().any(|(needed, _)| needed == program) || THERE_ANYWAY.contains(&program.as_str())
    };
    assert_eq!(found.iter().find(|program| !is_known(program)), None);
}
