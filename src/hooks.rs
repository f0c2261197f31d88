//! Hooks as they are run: their commands, the document that they read, and the part of their output that is kept.
//!
//! `steering` decides when a hook is due, and what follows from its end.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::child::environment::Withheld;
use crate::child::{EndedBy, GRACE, Program, Stderr, Surplus};
use crate::event::verdict::Verdict;
use crate::exit::Exit;
use crate::files::folder::folder_of;
use crate::journal::read::sums::Tally;
use crate::transport::secrets::Secrets;
use crate::waves::hooks::{Hook, HookCall, HookEnd, HookOrigin};
use crate::wording::shell::shell_path;
use crate::wording::visible;

pub(crate) mod covered;

/// Bytes of output that are kept.
const MOST_KEPT: usize = 4_096;

/// Hooks of a launch, with everything that they are told.
pub(crate) struct Hooks {
    pub(crate) commands: Vec<HookCommand>,
    pub(crate) about: AboutRun,
    pub(crate) withheld: Withheld,
    /// Secrets that are known by now; asked after each hook, because they are renewed.
    pub(crate) secrets: Box<dyn Fn() -> Secrets + Send + Sync>,
}

/// Command of one hook.
#[derive(Clone, Debug)]
pub(crate) struct HookCommand {
    pub(crate) hook: Hook,
    pub(crate) from: HookOrigin,
    /// Text for the shell.
    pub(crate) command: String,
    /// Files that the command must find as they were read with the plan; see [`covered`].
    pub(crate) files: BTreeMap<String, String>,
    /// File that it stands in; it runs in that file's folder.
    pub(crate) file: PathBuf,
    pub(crate) timeout: Duration,
}

/// Run and launch that hooks are told of.
#[derive(Clone, Debug, Default)]
pub(crate) struct AboutRun {
    pub(crate) run: String,
    pub(crate) launch: u32,
    pub(crate) verb: &'static str,
    /// Nothing of the launch leaves this process.
    pub(crate) is_trial: bool,
    /// Name that the plan gives itself.
    pub(crate) plan_name: Option<String>,
    pub(crate) plan_path: String,
    pub(crate) plan_digest: String,
    pub(crate) n_rows: u32,
    pub(crate) journal: PathBuf,
}

/// State of the run as a hook is told it.
#[derive(Debug, Default)]
pub(crate) struct HookFacts {
    /// `None` where the journal could not be read.
    pub(crate) tally: Option<Tally>,
    /// Exit with which the launch is about to end, and its reason.
    pub(crate) exit: Option<(Exit, Option<String>)>,
}

/// End of a hook, with its output.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct HookResult {
    pub(crate) end: HookEnd,
    pub(crate) output: String,
    pub(crate) is_cut: bool,
    pub(crate) elapsed: Duration,
}

impl Hooks {
    /// Hooks that are there, in the order in which they run before something.
    pub(crate) fn set(&self) -> Vec<(Hook, HookOrigin)> {
        self.commands.iter().map(|command| (command.hook, command.from)).collect()
    }

    /// Runs a hook to its end, or until the launch is stopped.
    pub(crate) async fn run(
        &self,
        call: &HookCall,
        facts: &HookFacts,
        stopped: impl Future<Output = ()>,
    ) -> HookResult {
        let began = Instant::now();
        let command = self.commands.iter().find(|command| (command.hook, command.from) == (call.hook, call.from));
        let command = command.expect("only hooks that are there are called");
        let (end, output, is_cut) = match first_changed(command).await {
            Some(name) => {
                let AboutRun { run, plan_path, .. } = &self.about;
                let plan = shell_path(Path::new(plan_path));
                let why = format!(
                    "`{name}` is not the file that it was when the plan was read, so this is another plan, and run {run} \
                     cannot go on with it: `cutover trust {plan}`, then `cutover run {plan} --new --yes` (with another \
                     `--run-key` if it had one)"
                );
                (HookEnd::NotStarted { why }, String::new(), false)
            }
            None => self.start(command, self.document(call, facts).to_string().as_bytes(), stopped).await,
        };
        HookResult { end, output, is_cut, elapsed: began.elapsed() }
    }

    async fn start(
        &self,
        command: &HookCommand,
        input: &[u8],
        stopped: impl Future<Output = ()>,
    ) -> (HookEnd, String, bool) {
        let program = Program {
            command: &command.command,
            folder: Some(folder_of(&command.file)),
            input,
            withheld: &self.withheld,
            stderr: Stderr::WithOutput,
            deadline: command.timeout,
            grace: GRACE,
            // More than is kept, because a secret may begin at the end of that.
            limit: 2 * MOST_KEPT,
            surplus: Surplus::Discarded,
        };
        let ended = match program.run_until(stopped).await {
            Ok(Some(ended)) => ended,
            Ok(None) => return (HookEnd::Stopped, String::new(), false),
            Err(error) => return (HookEnd::NotStarted { why: error.to_string() }, String::new(), false),
        };
        let end = match ended.by {
            EndedBy::Exit(code) => HookEnd::Exit { code },
            EndedBy::Signal(signal) => HookEnd::Signal { signal },
            EndedBy::Deadline => HookEnd::TimedOut {
                timeout_ms: u64::try_from(command.timeout.as_millis()).ok(),
                file: Some(command.file.display().to_string()),
            },
        };
        let (output, is_cut) = kept(&ended.output, &(self.secrets)());
        (end, output, is_cut || ended.is_cut)
    }

    /// Document `cutover.hook.v1`.
    fn document(&self, call: &HookCall, facts: &HookFacts) -> Value {
        let AboutRun { run, launch, verb, is_trial, plan_name, plan_path, plan_digest, n_rows, journal } = &self.about;
        let exit = facts
            .exit
            .as_ref()
            .map(|(exit, reason)| json!({"code": exit.code(), "name": exit.name(), "reason": reason}));
        let verdicts = facts.tally.as_ref().map(|tally| {
            let counted = Verdict::ALL.map(|verdict| (verdict.to_string(), Value::from(tally.settled_as(verdict))));
            Value::Object(counted.into_iter().collect())
        });
        let unsettled = facts.tally.as_ref().map(|tally| json!({"pending": tally.pending, "in_doubt": tally.in_doubt}));
        json!({
            "schema": "cutover.hook.v1",
            "hook": call.hook,
            "from": call.from,
            "run": run,
            "launch": launch,
            "verb": verb,
            "trial": is_trial,
            "plan": {"name": plan_name, "path": plan_path, "digest": plan_digest, "rows": n_rows},
            "journal": journal.display().to_string(),
            "wave": call.wave,
            "verdicts": verdicts,
            "unsettled": unsettled,
            "exit": exit,
        })
    }
}

/// Returns the first file of a hook that is not there any more as it was. Any file may be on a slow disk, and rows are on their way.
async fn first_changed(command: &HookCommand) -> Option<String> {
    let (files, folder) = (command.files.clone(), folder_of(&command.file).to_owned());
    let compared = move || covered::first_changed(&files, &folder).map(str::to_owned);
    tokio::task::spawn_blocking(compared).await.expect("nothing in it panics, and the runtime waits for it")
}

/// Beginning of an output, fit to be journaled: UTF-8, without secrets, and without characters that act on a terminal. Tells
/// whether that is not all of it.
fn kept(output: &[u8], secrets: &Secrets) -> (String, bool) {
    let text = String::from_utf8_lossy(output);
    let harmless = |c: char| if visible::acts_on_terminals(c) { '\u{fffd}' } else { c };
    let kept = secrets.hide_up_to(MOST_KEPT, &text).chars().map(harmless).collect::<String>();
    (kept.trim_end().to_owned(), text.len() > MOST_KEPT)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::transport::secrets::guarded::Guarded;

    fn hooks(command: &str) -> Hooks {
        let command = HookCommand {
            hook: Hook::BeforeWave,
            from: HookOrigin::Plan,
            command: command.to_owned(),
            files: BTreeMap::new(),
            file: PathBuf::new(),
            timeout: Duration::from_secs(20),
        };
        Hooks {
            commands: vec![command],
            about: AboutRun { run: "r1".to_owned(), launch: 2, verb: "resume", n_rows: 3, ..AboutRun::default() },
            withheld: Withheld::default(),
            secrets: Box::new(|| Secrets::new(vec![Guarded::from("s3cret-token-of-the-run")])),
        }
    }

    async fn ran(command: &str) -> HookResult {
        let call = HookCall {
            hook: Hook::BeforeWave,
            from: HookOrigin::Plan,
            wave_no: Some(0),
            wave: Some("pilot".to_owned()),
        };
        let tally = Some(Tally { pending: 3, ..Tally::default() });
        hooks(command).run(&call, &HookFacts { tally, exit: None }, std::future::pending()).await
    }

    #[tokio::test]
    async fn a_hook_reads_the_run_the_wave_and_the_counts() {
        let document: Value = serde_json::from_str(&ran("cat").await.output).unwrap();
        let told = ["schema", "hook", "from", "run", "launch", "wave"].map(|key| document[key].to_string());
        assert_eq!(told.join(" "), r#""cutover.hook.v1" "before_wave" "plan" "r1" 2 "pilot""#);
        assert_eq!((&document["unsettled"]["pending"], &document["exit"]), (&json!(3), &Value::Null));
        assert_eq!(document["verdicts"].as_object().unwrap().len(), 8);
    }

    #[tokio::test]
    async fn no_secret_and_no_control_character_of_an_output_is_kept() {
        let HookResult { output, is_cut, .. } = ran("printf 'a s3cret-token-of-the-run\\033[2J\\nb\\377\\n\\n'").await;
        assert_eq!((&*output, is_cut), ("a [redacted]\u{fffd}[2J\nb\u{fffd}", false));
        // A secret that begins before the end of what is kept ends behind it.
        let HookResult { output, is_cut, .. } = ran("printf '%4090d s3cret-token-of-the-run' 0").await;
        assert!(is_cut && output.ends_with("0 [redacted]…"), "{output}");
    }

    #[tokio::test]
    async fn a_folder_that_is_gone_and_a_file_that_changed_start_nothing() {
        let mut hooks = hooks("echo ran");
        let call = HookCall { hook: Hook::BeforeWave, from: HookOrigin::Plan, wave_no: Some(0), wave: None };
        hooks.commands[0].file = PathBuf::from("/nowhere/at/all/plan.toml");
        let ran = hooks.run(&call, &HookFacts::default(), std::future::pending()).await;
        assert!(matches!(ran.end, HookEnd::NotStarted { .. }), "{ran:?}");
        hooks.commands[0].file = PathBuf::new();
        hooks.commands[0].files = BTreeMap::from([("Cargo.toml".to_owned(), "00".to_owned())]);
        let ran = hooks.run(&call, &HookFacts::default(), std::future::pending()).await;
        let why = "was not started: `Cargo.toml` is not the file that it was when the plan was read, so this is another plan, \
                   and run r1 cannot go on with it";
        assert!(ran.end.to_string().starts_with(why), "{ran:?}");
    }
}
