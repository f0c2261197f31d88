//! `cutover` moves many source servers of Huawei Cloud's Server Migration Service to a target migration state, and can
//! prove afterwards what happened to each.
//!
//! Three ideas carry everything else. **Commit, then tell**: nothing has happened until the journal holds it; everyone
//! else hears about it afterwards. **Decisions are functions of data**: retry, resume, verdict and report are computed
//! from values, without I/O. **The full space of endings**: every way a request can end has a name, and "sent, but no
//! answer" is one of them.
//!
//! ```text
//! plan file ──▶ plan ──▶ preflight ──▶ engine ──▶ call ──▶ look        (rows flow right; the engine schedules)
//!                          control ──▶ steering ◀───┤        │          (when to begin, wait, slow down, stop)
//!                                         │         │        │
//!                                         └────── EventKind ─┘
//!                                                   ▼
//!                                    recorder ──▶ journal (SQLite)     (1) commit
//!                                        └──────▶ observers            (2) then tell: progress, event lines
//!                                    journal ──▶ ledger ──▶ report     (read back, any time, any process)
//!                                                  └─────▶ preflight   (resume is the same path)
//! ```
//!
//! Arrows of dependency point one way, downwards: a room uses rooms that stand on a line below its own and no others, which a test
//! holds (`tests/it/house.rs`). The same goes for the inside of a room, of which a folder's own file is the face: it stands on the
//! files in the folder, and these on each other.
//!
//! ```text
//! program
//! commands
//! launch
//! verb
//! audit  observe  rehearsal  serve
//! metrics
//! report
//! rollback
//! plan
//! preflight  settings
//! engine  inventory  notices
//! hooks  recorder  remote  steering
//! cluster
//! log
//! credentials  journal  judge  sandbox
//! gate  ledger  retry  transport
//! event
//! control
//! console  digest  doctor  formats  hands  lock
//! waves  wording
//! values
//! texts
//! child  clock  diagnostics  exit  files  memory  model  ssh  whoami
//! ```
//!
//! Each library with an opinion stays in one room: `reqwest` in `transport`, `rusqlite` in `journal`, `governor` in `gate`,
//! `async-nats` in `cluster`, `indicatif` in `observe`, `clap` in `settings`, `hyper` in `sandbox`, `axum` in `serve`, `askama` and
//! `plotters` in `report::html`, `tracing` in `diagnostics`.
//!
//! A good order to read in:
//!
//! 1. [`model`]: ids, state words, the target and what was seen. [`exit`]: the codes. `files`: how every room makes and opens
//!    files where others may have been before; it stands on none of the others.
//!    [`values`]: rates, shares, durations and zones, each read from its text once. [`wording`]: values, times and commands as people
//!    read them. [`formats`]: those of reports.
//! 2. [`event`]: what can happen to a row, in a lane and to a run. [`ledger`]: what a row's events add up to
//!    ([`ledger::standing`]), and which histories are impossible ([`ledger::fold`]); [`ledger::steered`] is the same for how a
//!    run was steered. `clock`: the time of day, the machine's or a rehearsal's. `child`: programs of the operator, started, fed and ended.
//! 3. `engine`: `call` is one row from top to bottom and reads like the runbook; `lane` is what the calls of one
//!    account share, `reader` how they see, `stop` how they end. `judge`: what a look means.
//!    [`waves`] is how a plan is carried out besides its rows, as data: stages, halt rules, window, forecast. [`control`] is
//!    what may be said to a run while it goes. `hooks`: commands around a run and its waves. `steering` decides by both when stages
//!    begin, how fast they go and when the run stops; `engine::driver` carries that out.
//! 4. `gate`: where a request waits for leave to go, and in which order. `retry`: patience. `remote`: `service` is what the engine may ask
//!    for, `http` sends it, `classify` and `reads` make outcomes of answers. `transport`: bytes out and back, and secrets that no text
//!    repeats. [`credentials`]: `chain` finds an identity, `identity` proves it with each request.
//! 5. [`plan`]: bytes to rows, or every problem; [`digest`]: the name of what was read; `plan::file` is the plan file with waves and policy, [`plan::sealed`] what
//!    people agreed to. `preflight`: `look` before touching, `prospect` of each row, and their sum in `difference`, as data.
//! 6. [`journal`]: the SQLite file. `log`: where a batch of events is committed before it is in the journal, and the steps of an
//!    append. `cluster` (a feature of the build): such a log on NATS, which several machines share. `recorder`: the one writer of a
//!    run, and who is told of what it wrote. [`audit`]: proof that it was not altered.
//! 7. `observe`: what people and programs see of a run while it goes. [`report`]: what is read back: `summary` as data, a
//!    file for each format, `advice` and `next` for the commands to type next. `serve`: the same for browsers while it happens.
//!    `metrics`: figures of it for Prometheus, one table of them.
//!    `console`: who is told, and the only way to a terminal, a pipe or the log file. `diagnostics`: decisions and requests, for
//!    whoever asks for them.
//! 8. `notices`: what is told to those who are not there. `inventory`, `doctor`: looking around without a run. [`rehearsal`]: what a
//!    night would come to. [`rollback`]: the way back.
//! 9. `settings`, `lock`, `memory` and `verb`: ground of every verb. `launch`: a run carried out, from its checks to its summary.
//!    `verb` stands below `launch`, because a launch ends with the errors that a verb ends with. `commands`: a file for each verb,
//!    named as it is typed. [`program`]: the process from its arguments to its exit code.
//! 10. [`sandbox`]: the service on loopback, with its state machine, quotas and faults.
//!
//! One term a thing, and one thing a term:
//!
//! | term | means |
//! |---|---|
//! | *room* | a module of the crate's root, with the files in its folder |
//! | *plan*, *row* | the input; one line of it, known by its source id |
//! | *run*, *launch* | the carrying out of one plan to its end; one start of the process for it |
//! | *lane* | one account at one endpoint, with its credentials, limits and counts; lane 0 is the run's own |
//! | *call*, *attempt* | everything done for one row; one change on the wire |
//! | *intent* | the event that an attempt begins, on disk before a byte leaves |
//! | *outcome* | the end of an attempt: accepted, rejected, unauthenticated, throttled, unsent or lost |
//! | *in doubt* | sent, answer unknown: read before it is sent again |
//! | *look*, *verification* | a read that decides whether to send; one that proves an effect |
//! | *preflight*, *prospect* | the looks before a launch sends; what would then happen to a row |
//! | *standing*, *verdict* | a row's place between untried and settled; a settled row's final word |
//! | *ground*, *cause* | the fact that a verdict rests on, where the verdict alone does not decide what to do; the word by which rows that are off target are counted together |
//! | *on target* | where the plan wants the row, by its verdict and ground |
//! | *gate*, *slot*, *pace*, *cool-down* | the wait for leave to send: room on the wire, the grid of tokens, an instant before which nothing goes |
//! | *at hand* | of a change: near enough to its leave that its intent is recorded |
//! | *queue position* | a place in a queue, held until it is given up; the first ones go |
//! | *clearance* | the answer to a change that is about to leave: granted, one of few, paused, skipped or draining |
//! | *lesson*, *probe* | a rate that answers taught; a try of more than that |
//! | *patience* | the policy of retries, as data |
//! | *proof*, *generation* | the token or signature that goes with a request; its number among the successive ones of a lane |
//! | *dialect* | an edition of the vendor's API: which fields and words a change may have |
//! | *wave*, *canary*, *soak* | a part of a plan that begins by itself; its first rows; the wait after it |
//! | *turn* | a row's number among those that were tried |
//! | *stage* | the canary or the rest of a wave: one step of a run |
//! | *order* | a decision of steering that a lane or the driver carries out |
//! | *hook*, *veto* | a command that runs before or after a run or a wave; the failure of one before it |
//! | *halt rule*, *window*, *deadline* | the failures after which a run stops; the hours in which it may send; the time after which it may not |
//! | *estimate* | the time that is left, or that a plan needs |
//! | *drain*, *abort* | start nothing new and wait for answers; also let go of what is on the wire |
//! | *journal*, *ledger* | the events in order, in SQLite; their sum |
//! | *log file*, *diagnostic* | the file that gets all that is told; a decision or a request, told to whoever asked for it |
//! | *log* | the place in which a batch of events is committed; the journal itself, as long as one machine writes |
//! | *replicated log* | a log on servers of its own, from which another machine goes on with a run |
//! | *writer* | who commits to a log: a launch in one process; a later one's first commit is a *fence*, behind which the log takes nothing of an earlier one |
//! | *lead*, *claim* | the launch of a run that others leave to it, on whichever host; what keeps its accounts from the runs of other hosts |
//! | *beat*, *standby* | a sign of life of whoever leads a run, each second; a launch that follows a run and waits for that to end |
//! | *leave* (of a worker) | the word with which a change that it took may be sent, for one second of its own clock |
//! | *hold* | the leave for changes that a writer has: without end where nobody else can write, else for a second after each commit |
//! | *stamp*, *project* | number, date and chain an event; write what follows from it into the journal's other tables |
//! | *chain*, *head* | the hashes of a lane's events, each over the one before; the last of them |
//! | *fact*, *gauge* | an event, stored because a later launch depends on it; a figure of the moment, never stored |
//! | *metric*, *figures* | a sum of the journal under a name that Prometheus knows; all that the metrics of a run are made from |
//! | *worker*, *hand* | a process on another machine that makes the requests of accounts whose credentials it has; the way of a lane to one |
//! | *seal*, *approval*, *release* | a plan with the states seen; a person's consent to it; a person's leave for one wave |
//! | *drift* | servers that are no longer in the states that a sealed plan was made for |
//! | *anchor* | the short code of a run's heads, to be kept elsewhere |
//! | *bundle* | a run's evidence in one ZIP, with its own checker |
//! | *archive*, *tombstone* | the bundle of a run that was taken out of the journal; what stands in the run's place there |
//! | *notice*, *receiver* | a message about a launch to somebody outside; where it goes, as the settings name it |
//! | *rehearsal*, *night* | a plan carried out in the sandbox, on a simulated clock; a whole test case of plan, scenario and steps |
//!
//! The [`threat_model`] tells whom the program trusts with what, and what its files cannot prove.

pub mod audit;
mod child;
mod clock;
#[cfg(feature = "cluster")]
mod cluster;
mod commands;
mod console;
pub mod control;
pub mod credentials;
mod diagnostics;
pub mod digest;
mod doctor;
mod engine;
pub mod event;
pub mod exit;
mod files;
pub mod formats;
mod gate;
mod hands;
mod hooks;
mod inventory;
pub mod journal;
mod judge;
mod launch;
pub mod ledger;
mod lock;
mod log;
mod memory;
mod metrics;
pub mod model;
mod notices;
mod observe;
pub mod plan;
mod preflight;
pub mod program;
mod recorder;
pub mod rehearsal;
mod remote;
pub mod report;
mod retry;
pub mod rollback;
pub mod sandbox;
mod serve;
mod settings;
pub mod ssh;
mod steering;
mod texts;
#[doc = include_str!("threat_model.md")]
pub mod threat_model {}
mod transport;
pub mod values;
mod verb;
pub mod waves;
pub mod whoami;
pub mod wording;
