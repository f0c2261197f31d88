//! Programs of the operator that this one starts: commands that print credentials, hooks, commands that take notices.
//!
//! A child gets a text on standard input, a deadline, and an environment without our secrets ([`environment`]). It leads a process
//! group, so that it is ended together with whatever it started: at its deadline, and when the future that waits for it is dropped.
//! Its output is kept up to a limit. A child that ended by itself may leave processes behind, and these are not waited for.
//!
//! `ssh-keygen` is not started here: it asks for a passphrase at the terminal, which is open to the terminal's own group alone.

use std::io;
use std::os::unix::process::ExitStatusExt as _;
use std::path::Path;
use std::pin::pin;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use futures_util::FutureExt as _;
use futures_util::future::FusedFuture;
use rustix::process::{Pid, Signal, kill_process_group};
use secrecy::zeroize::Zeroizing;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::unix::pipe::Receiver;
use tokio::process::{Child, ChildStdin, Command};
use tokio::time::timeout;

pub(crate) mod environment;

use environment::Withheld;

/// Usual time between the request to end and the kill.
pub(crate) const GRACE: Duration = Duration::from_secs(2);

/// Time in which the rest of the output is read after the end: all of it is in the pipe by then, unless somebody else still writes.
const LAST_WORDS: Duration = Duration::from_millis(250);

/// Keeps from all children what our own caller left open, such as the lock that `flock` holds for us: a child that lives on would keep
/// it, and what is in the file is not the child's to read. For us the files stay as they are. Our own ones are closed anyway
/// (`O_CLOEXEC`). To be called before there is another thread, which might start a child meanwhile.
pub(crate) fn keep_files_of_caller_from_children() {
    close_fds::set_fds_cloexec(FIRST_BEYOND_STANDARD, &[]);
}

/// Number of the first file beyond standard input, output and error.
const FIRST_BEYOND_STANDARD: i32 = 3;

/// Command for the shell, and everything it is given.
pub(crate) struct Program<'a> {
    pub(crate) command: &'a str,
    /// Folder in which it runs; `None` for the current one.
    pub(crate) folder: Option<&'a Path>,
    /// Text on standard input; an empty one is an empty input.
    pub(crate) input: &'a [u8],
    pub(crate) withheld: &'a Withheld,
    pub(crate) stderr: Stderr,
    pub(crate) deadline: Duration,
    /// Time between the request to end and the kill; [`GRACE`] where nobody waits for less.
    pub(crate) grace: Duration,
    /// Number of bytes of output that are kept.
    pub(crate) limit: usize,
    pub(crate) surplus: Surplus,
}

/// Destination of standard error.
pub(crate) enum Stderr {
    /// The same output as standard output, in the order of writing.
    WithOutput,
    To(Stdio),
}

/// Treatment of output beyond the limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Surplus {
    /// Read and thrown away, so that the child is not held up.
    Discarded,
    /// Not read: the child's next write fails.
    Refused,
}

/// End of a child, with its output.
#[derive(Debug)]
pub(crate) struct ChildEnd {
    pub(crate) by: EndedBy,
    /// First bytes of the output; wiped from memory when dropped, because credentials may be in it.
    pub(crate) output: Zeroizing<Vec<u8>>,
    /// True if there was more output than is kept.
    pub(crate) is_cut: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum EndedBy {
    /// Its own exit code. The shell ends with 127 if it finds no such program, and with 126 if it may not run it.
    Exit(i32),
    Signal(i32),
    /// Our kill, at its deadline.
    Deadline,
}

impl Program<'_> {
    /// Runs the command to its end. Fails if it cannot be started or heard.
    ///
    /// Dropping the future kills the child and its process group.
    pub(crate) async fn run(self) -> io::Result<ChildEnd> {
        let ended = self.run_until(std::future::pending()).await?;
        Ok(ended.expect("nobody stops it"))
    }

    /// Runs the command to its end, or until the other future is ready: then its group is ended, and `None` is returned.
    pub(crate) async fn run_until(self, stopped: impl Future<Output = ()>) -> io::Result<Option<ChildEnd>> {
        let Self { input, deadline, grace, limit, surplus, .. } = self;
        let (mut child, reader) = self.start()?;
        let mut group = Group::led_by(&child);
        let stdin = child.stdin.take();
        let mut heard = Heard::new(limit);
        let by = {
            // Both at once: a child that writes before it reads would otherwise wait for us, and we for it.
            let mut talk = pin!(async { tokio::join!(feed(stdin, input), heard.hear(reader, surplus)) }.fuse());
            let watched = async {
                tokio::select! {
                    () = stopped => Watched::Stopped,
                    ended = timeout(deadline, child.wait()) => ended.map_or(Watched::OutOfTime, Watched::Ended),
                }
            };
            let by = match alongside(talk.as_mut(), watched).await {
                Watched::Ended(status) => Some(EndedBy::from(status?)),
                cut_short @ (Watched::OutOfTime | Watched::Stopped) => {
                    group.terminate();
                    _ = alongside(talk.as_mut(), timeout(grace, child.wait())).await;
                    group.kill();
                    matches!(cut_short, Watched::OutOfTime).then_some(EndedBy::Deadline)
                }
            };
            // One that is over stays pending for ever.
            if !talk.is_terminated() {
                _ = timeout(LAST_WORDS, talk).await;
            }
            by
        };
        group.release();
        Ok(by.map(|by| ChildEnd { by, output: heard.kept, is_cut: heard.is_cut }))
    }

    /// Starts the child. No copy of the pipe's end to write into is left here, since the child's end would otherwise not be seen.
    fn start(self) -> io::Result<(Child, Receiver)> {
        let (reader, writer) = io::pipe()?;
        let mut command = Command::new("sh");
        command.args(["-c", self.command]);
        for name in self.withheld.among(std::env::vars_os().map(|(name, _)| name)) {
            command.env_remove(name);
        }
        if let Some(folder) = self.folder {
            command.current_dir(folder);
        }
        command.stdin(if self.input.is_empty() { Stdio::null() } else { Stdio::piped() });
        match self.stderr {
            Stderr::WithOutput => command.stderr(writer.try_clone()?),
            Stderr::To(place) => command.stderr(place),
        };
        let child = command.stdout(writer).process_group(0).kill_on_drop(true).spawn()?;
        Ok((child, Receiver::from_owned_fd(reader.into())?))
    }
}

/// End of the wait for a child.
enum Watched {
    Ended(io::Result<ExitStatus>),
    OutOfTime,
    Stopped,
}

/// Writes the text and closes the input. A child that does not read it all is within its rights.
async fn feed(stdin: Option<ChildStdin>, input: &[u8]) {
    if let Some(mut stdin) = stdin {
        _ = stdin.write_all(input).await;
    }
}

/// Waits for a future and carries on the talk with the child meanwhile, as long as it lasts.
async fn alongside<T>(mut talk: impl FusedFuture + Unpin, wait: impl Future<Output = T>) -> T {
    let mut wait = pin!(wait);
    tokio::select! {
        result = &mut wait => result,
        _ = &mut talk => wait.await,
    }
}

/// Output so far.
struct Heard {
    kept: Zeroizing<Vec<u8>>,
    limit: usize,
    is_cut: bool,
}

impl Heard {
    fn new(limit: usize) -> Self {
        // Large enough from the beginning: a buffer that grows leaves copies behind.
        Self { kept: Zeroizing::new(Vec::with_capacity(limit)), limit, is_cut: false }
    }

    /// Reads to the end of the output, or until there is a surplus that is refused.
    async fn hear(&mut self, mut reader: Receiver, surplus: Surplus) {
        let mut piece = Zeroizing::new([0; 4_096]);
        // An error would mean that nothing more is to be heard.
        while let Ok(n_read @ 1..) = reader.read(&mut *piece).await {
            let n_kept = n_read.min(self.limit - self.kept.len());
            self.kept.extend_from_slice(&piece[..n_kept]);
            self.is_cut |= n_kept < n_read;
            if self.is_cut && surplus == Surplus::Refused {
                return;
            }
        }
    }
}

/// Process group of a child that has not ended by itself; killed when dropped.
struct Group(Option<Pid>);

impl Group {
    fn led_by(child: &Child) -> Self {
        Self(child.id().and_then(|id| i32::try_from(id).ok()).and_then(Pid::from_raw))
    }

    /// Asks the group to end, also those of it that are stopped, as who reads from the terminal is.
    fn terminate(&self) {
        self.signal(Signal::TERM);
        self.signal(Signal::CONT);
    }

    fn kill(&self) {
        self.signal(Signal::KILL);
    }

    fn signal(&self, signal: Signal) {
        // A failure means that the group is gone.
        _ = self.0.map(|group| kill_process_group(group, signal));
    }

    fn release(&mut self) {
        self.0 = None;
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        self.kill();
    }
}

impl From<ExitStatus> for EndedBy {
    fn from(status: ExitStatus) -> Self {
        match status.code() {
            Some(code) => Self::Exit(code),
            None => Self::Signal(status.signal().unwrap_or_default()),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use super::*;

    fn program(command: &str) -> Program<'_> {
        Program {
            command,
            folder: None,
            input: b"",
            withheld: const { &Withheld::new(Vec::new()) },
            stderr: Stderr::WithOutput,
            deadline: Duration::from_secs(20),
            grace: GRACE,
            limit: 4_096,
            surplus: Surplus::Discarded,
        }
    }

    async fn ended(program: Program<'_>) -> (EndedBy, String) {
        let ended = program.run().await.unwrap();
        (ended.by, String::from_utf8_lossy(&ended.output).into_owned())
    }

    /// Waits until no process of a group is left.
    async fn is_gone(group: &str) {
        let group = Pid::from_raw(group.trim().parse().unwrap()).unwrap();
        while rustix::process::test_kill_process_group(group).is_ok() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    #[tokio::test]
    async fn ends_are_told_with_both_outputs_in_their_order() {
        let said = |text: &str| text.to_owned();
        for (command, by, output) in [
            ("true", EndedBy::Exit(0), said("")),
            ("echo one; echo two >&2; echo three; exit 3", EndedBy::Exit(3), said("one\ntwo\nthree\n")),
            ("kill -9 $$", EndedBy::Signal(9), said("")),
            ("printf '\\377\\0x'", EndedBy::Exit(0), said("\u{fffd}\0x")),
        ] {
            assert_eq!(ended(program(command)).await, (by, output), "{command}");
        }
        assert_eq!(ended(program("no-such-program")).await.0, EndedBy::Exit(127));
        assert_eq!(ended(program("/")).await.0, EndedBy::Exit(126));
        let elsewhere = Program { folder: Some(Path::new("/nowhere/at/all")), ..program("true") };
        assert_eq!(elsewhere.run().await.unwrap_err().kind(), io::ErrorKind::NotFound);
    }

    /// More than a pipe holds, in both directions at once.
    #[tokio::test]
    async fn an_input_is_taken_while_output_is_read_and_may_be_left_alone() {
        let input = "text\n".repeat(200_000);
        let with_input = |command| Program { input: input.as_bytes(), limit: input.len(), ..program(command) };
        assert!(ended(with_input("cat")).await == (EndedBy::Exit(0), input.clone()));
        assert_eq!(ended(with_input("read -r line; echo $line")).await, (EndedBy::Exit(0), "text\n".to_owned()));
        assert_eq!(ended(with_input("exec <&-; exit 4")).await.0, EndedBy::Exit(4));
        // Somebody else holds the other end of the input and does not read.
        assert_eq!(ended(with_input("sleep 60 & exit 5")).await.0, EndedBy::Exit(5));
    }

    #[tokio::test]
    async fn a_flood_is_cut_off_and_holds_nobody_up() {
        let flood = "head -c 10000000 /dev/zero | tr '\\0' x; echo the end >&2; exit 6";
        let whole = program(flood).run().await.unwrap();
        assert_eq!((whole.by, whole.output.len(), whole.is_cut), (EndedBy::Exit(6), 4_096, true));
        let exact = program("head -c 4096 /dev/zero").run().await.unwrap();
        assert_eq!((exact.output.len(), exact.is_cut), (4_096, false));
        let refused = Program { surplus: Surplus::Refused, ..program("exec yes") }.run().await.unwrap();
        assert_eq!((refused.by, refused.is_cut), (EndedBy::Signal(13), true));
    }

    #[tokio::test]
    async fn at_its_deadline_the_whole_group_is_ended_also_where_it_will_not_listen() {
        for command in ["echo $$; sleep 60", "trap '' TERM; echo $$; sleep 60 & sleep 60", "echo $$; kill -STOP $$"] {
            let began = Instant::now();
            let (by, group) = ended(Program { deadline: Duration::from_millis(300), ..program(command) }).await;
            assert_eq!(by, EndedBy::Deadline, "{command}");
            is_gone(&group).await;
            assert!(began.elapsed() < Duration::from_secs(15), "{command}");
        }
        let tidy = Program {
            deadline: Duration::from_millis(300),
            ..program("trap 'echo bye; exit 0' TERM; sleep 60 & wait")
        };
        assert_eq!(ended(tidy).await, (EndedBy::Deadline, "bye\n".to_owned()));
    }

    #[tokio::test]
    async fn a_child_that_is_no_longer_waited_for_is_killed_with_its_group() {
        let folder = tempfile::tempdir().unwrap();
        let command = "echo $$ >began.new; mv began.new began; sleep 60 & sleep 60";
        let run = tokio::spawn({
            let folder = folder.path().to_owned();
            async move { Program { folder: Some(&folder), ..program(command) }.run().await }
        });
        let began = folder.path().join("began");
        while !began.exists() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        run.abort();
        is_gone(&std::fs::read_to_string(began).unwrap()).await;
    }

    #[tokio::test]
    async fn a_child_that_is_stopped_may_tidy_up_and_leaves_nobody_behind() {
        let folder = tempfile::tempdir().unwrap();
        let command = "trap 'echo tidied >end; exit' TERM; echo $$ >began.new; mv began.new began; sleep 60 & wait";
        let began = folder.path().join("began");
        let stopped = async {
            while !began.exists() {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        let ended = Program { folder: Some(folder.path()), ..program(command) }.run_until(stopped).await.unwrap();
        assert!(ended.is_none());
        assert_eq!(std::fs::read_to_string(folder.path().join("end")).unwrap(), "tidied\n");
        is_gone(&std::fs::read_to_string(&began).unwrap()).await;
    }

    #[tokio::test]
    async fn whoever_it_leaves_behind_is_not_waited_for_and_lives_on() {
        let (by, group) = ended(program("echo $$; sleep 60 &")).await;
        assert_eq!(by, EndedBy::Exit(0));
        let group = Pid::from_raw(group.trim().parse().unwrap()).unwrap();
        kill_process_group(group, Signal::KILL).expect("the group is there, although its leader has ended");
    }

    #[tokio::test]
    async fn nothing_more_is_waited_for_once_the_output_has_ended() {
        let mut shortest = Duration::MAX;
        // The machine may be busy for one of them.
        for _ in 0..10 {
            let began = Instant::now();
            assert_eq!(ended(program("exec >&- 2>&-; sleep 0.05")).await.0, EndedBy::Exit(0));
            shortest = shortest.min(began.elapsed());
        }
        assert!(shortest < LAST_WORDS, "{shortest:?}");
    }

    #[tokio::test]
    async fn our_files_are_not_inherited() {
        let ours = tempfile::NamedTempFile::new().unwrap();
        let (by, listed) = ended(program("ls -l /proc/$$/fd")).await;
        assert_eq!(by, EndedBy::Exit(0));
        let name = ours.path().file_name().unwrap().to_str().unwrap();
        assert!(listed.contains("pipe:") && !listed.contains(name), "{listed}");
    }

    #[tokio::test]
    async fn withheld_variables_are_not_there() {
        let withheld = Withheld::new(vec!["HOME".to_owned()]);
        let all = Program { withheld: &withheld, ..program("echo ${HOME-none} ${PATH:+some}") };
        assert_eq!(ended(all).await.1, "none some\n");
    }
}
