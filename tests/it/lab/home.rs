//! A directory in which the binary is at home.

use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Command, Stdio};

use tempfile::TempDir;

use super::journal::Journal;
use super::launch::{Ended, Launch};
use super::served::{Served, TOKEN};

/// Home directory of the binary, with nothing of the user's. Its `cutover.toml` is named explicitly, like one that the user
/// wrote.
pub(crate) struct Lab {
    folder: TempDir,
}

impl Lab {
    pub(crate) fn new() -> Self {
        Self { folder: tempfile::tempdir().unwrap() }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(crate) fn write(&self, name: &str, text: &str) {
        std::fs::write(self.path(name), text).unwrap();
    }

    /// Makes a key of `ssh-keygen` without a passphrase, in the files NAME and NAME.pub.
    pub(crate) fn make_key(&self, name: &str) {
        let mut made = Command::new("ssh-keygen");
        made.args(["-q", "-t", "ed25519", "-N", "", "-f"]).arg(self.path(name));
        assert!(made.status().unwrap().success());
    }

    /// Makes a command of the binary at home here, with a clean environment.
    pub(crate) fn command(&self, args: &[&str]) -> Command {
        self.command_of(env!("CARGO_BIN_EXE_cutover"), args)
    }

    /// Makes a command of another program at home here.
    pub(crate) fn command_of(&self, program: &str, args: &[&str]) -> Command {
        let mut command = Command::new(program);
        self.at_home(&mut command);
        command.args(args);
        command
    }

    fn at_home(&self, command: &mut Command) {
        command
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .env("HOME", self.folder.path())
            .env("XDG_CONFIG_HOME", self.path("config"))
            .env("XDG_STATE_HOME", self.path("state"))
            .env("CUTOVER_AUTH_TOKEN", TOKEN)
            .envs(self.path("cutover.toml").symlink_metadata().is_ok().then_some(("CUTOVER_CONFIG", "cutover.toml")))
            .current_dir(self.folder.path())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
    }

    /// Makes a command of the binary under limits of the shell, such as `ulimit -f 100`.
    pub(crate) fn limited(&self, limit: &str, args: &[&str]) -> Command {
        let mut command = Command::new("sh");
        self.at_home(&mut command);
        command.args(["-c", &format!("{limit}; exec \"$0\" \"$@\""), env!("CARGO_BIN_EXE_cutover")]).args(args);
        command
    }

    /// Runs a verb to its end.
    pub(crate) fn cutover(&self, args: &[&str]) -> Ended {
        Launch::start(self.command(args)).end()
    }

    /// Serves the sources of `plan`.
    pub(crate) fn serve(&self, plan: &str, scenario: &str) -> Served {
        self.serve_to(plan, scenario, TOKEN)
    }

    /// Serves the sources of `plan` with this token.
    pub(crate) fn serve_to(&self, plan: &str, scenario: &str, token: &str) -> Served {
        self.serve_with(plan, scenario, &[("CUTOVER_SANDBOX_TOKEN", token)])
    }

    /// Serves the sources of `plan` with these environment variables.
    pub(crate) fn serve_with(&self, plan: &str, scenario: &str, variables: &[(&str, &str)]) -> Served {
        self.write("scenario.toml", scenario);
        let mut command = self.command(&["sandbox", "--plan", plan, "--scenario", "scenario.toml", "--port", "0"]);
        let mut child = command.envs(variables.iter().copied()).stderr(Stdio::null()).spawn().unwrap();
        let mut url = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut url).unwrap();
        assert!(url.starts_with("http://"), "the sandbox did not start: {url:?}");
        Served { child, url: url.trim().to_owned() }
    }

    /// Begins `VERB … --yes --events` against a served sandbox.
    pub(crate) fn begin(&self, sandbox: &Served, args: &[&str]) -> Launch {
        Launch::start(self.command(&with_yes(sandbox, args)))
    }

    /// Runs `VERB … --yes --events` against a served sandbox to its end.
    pub(crate) fn launch(&self, sandbox: &Served, args: &[&str]) -> Ended {
        self.begin(sandbox, args).end()
    }

    pub(crate) fn journal(&self) -> Journal {
        Journal::open(&self.path("cutover.db"))
    }
}

pub(crate) fn with_yes<'a>(sandbox: &'a Served, args: &[&'a str]) -> Vec<&'a str> {
    let mut all = args.to_vec();
    all.extend(["--endpoint", &sandbox.url, "--events", "--no-progress"]);
    if args.first() != Some(&"reconcile") {
        all.push("--yes");
    }
    all
}
