//! Steps before anything is sent: look, tell the difference, compare it with policy and seal, and ask.

use std::io::{self, BufRead};

use super::assembling::Lanes;
use super::difference::{self, Shown};
use super::halted::Halted;
use super::inputs::Launch;
use super::request::Consent;
use crate::console;
use crate::engine::journal_reader::JournalReader;
use crate::engine::stop::Stop;
use crate::event::run::Refusal;
use crate::exit::Exit;
use crate::journal::Journal;
use crate::journal::read::steering::Drifted;
use crate::preflight::difference::{Preview, add_up};
use crate::preflight::look::look;
use crate::preflight::settle::settle;
use crate::verb::error::stdout_failed;
use crate::wording::amounts::count;
use crate::wording::plain::plain;
use crate::wording::sieve::Form;

/// Rows of a group that are shown before a question, and by `plan`.
const SHOWN_BEFORE_A_RUN: usize = 5;
const SHOWN_BY_PLAN: usize = 50;
const DRIFT_SHOWN: u32 = 20;

/// Decision after the difference was told.
pub(super) enum GoAhead {
    Send,
    /// The launch was to tell the difference and no more.
    NothingMore,
}

impl Launch {
    /// Looks, tells the difference, compares it with policy and seal, and asks. Rows that need no change are settled if agreed to.
    pub(super) async fn consider(
        &self,
        lanes: &Lanes,
        stop: &Stop,
        journal: &JournalReader,
    ) -> Result<GoAhead, Halted> {
        if self.settings.lane.preflight {
            let place = match lanes {
                [_] => self.run.endpoint.clone(),
                _ => format!("{} accounts", lanes.len()),
            };
            let n_rows = journal.read(Journal::count_unsettled).await?;
            self.console.say(&format!("looking at {} at {place}", count(n_rows, "row")));
            look(lanes, journal).await?;
            self.tell_of_lists(lanes);
        }
        if self.request.consent == Consent::OnlyLooked {
            return Ok(GoAhead::NothingMore);
        }
        let n_shown = if self.request.consent == Consent::OnlyShown { SHOWN_BY_PLAN } else { SHOWN_BEFORE_A_RUN };
        let difference = add_up(lanes, journal, n_shown).await?;
        self.show(&difference)?;
        _ = self.n_changes.set(difference.n_changes());
        let Consent::Asked { yes, irreversible } = self.request.consent else { return Ok(GoAhead::NothingMore) };
        self.refuse_too_many(&difference)?;
        if difference.n_irreversible > 0 && !irreversible {
            return Err(refused_without_leave(&difference));
        }
        if self.paper.seal.is_some() {
            self.refuse_drift(journal).await?;
        }
        if difference.n_changes() > 0 && !yes {
            self.ask(stop, &difference).await?;
        }
        if difference.n_to_settle() > 0 {
            for lane in lanes.iter().filter(|lane| lane.goes_on()) {
                settle(lane, journal).await?;
            }
        }
        Ok(GoAhead::Send)
    }

    /// Tells of accounts whose list of sources cannot be read: reads by id cost more requests, which show in the service's log.
    fn tell_of_lists(&self, lanes: &Lanes) {
        for lane in lanes {
            if let Some(why) = lane.list().unreadable() {
                let whose = if lanes.len() > 1 { format!(" of account `{}`", lane.name) } else { String::new() };
                let why = plain(why);
                self.console.say(&format!("the list of sources{whose} cannot be read ({why}): each is read by its id"));
            }
        }
    }

    fn show(&self, difference: &Preview) -> Result<(), Halted> {
        let of_plan = difference::set_by_plan(&self.paper.terms, &self.settings);
        let shown = Shown { difference, of_plan: &of_plan, hooks: &self.hooks };
        let written = match (self.request.consent, self.console.json) {
            (Consent::OnlyShown, true) => console::document(Form::Json, |out| {
                let document = difference::document(&self.run, &shown);
                writeln!(out, "{document:#}")
            }),
            (Consent::OnlyShown, false) => console::print(|out| difference::render(&shown, out)),
            (Consent::Asked { .. } | Consent::OnlyLooked | Consent::NothingIsSent, _) => {
                self.console.tell(|out| difference::render(&shown, out));
                Ok(())
            }
        };
        written.map_err(|error| Halted::Error(stdout_failed(error)))
    }

    fn refuse_too_many(&self, difference: &Preview) -> Result<(), Halted> {
        let n_changes = difference.n_changes();
        let Some(most) = self.settings.max_changes.filter(|most| n_changes > *most) else { return Ok(()) };
        let reason = format!(
            "{} would be changed, and --max-changes allows {most}; nothing was sent by this launch",
            count(n_changes, "row")
        );
        Err(Halted::Refused(Refusal::TooMany { changes: n_changes }, reason))
    }

    /// Refuses a sealed plan if more rows than `max_drift` are no longer in the states that were sealed.
    async fn refuse_drift(&self, journal: &JournalReader) -> Result<(), Halted> {
        let (n_rows, first) = journal.read(|journal, run| journal.drifted(run, DRIFT_SHOWN)).await?;
        if n_rows <= self.settings.max_drift {
            return Ok(());
        }
        for Drifted { source_id, place, sealed, seen } in &first {
            let (id, place, sealed, seen) = (plain(source_id), plain(place), plain(sealed), plain(seen));
            self.console.say(&format!("  {id} ({place}) was {sealed} when the plan was sealed, and is {seen}"));
        }
        if n_rows > first.len() as u64 {
            self.console.say(&format!("  … and {} more", n_rows - first.len() as u64));
        }
        let reason = format!(
            "{}, and --max-drift allows {}; nothing was sent by this launch",
            if n_rows == 1 {
                "1 row is no longer where the sealed plan saw it".to_owned()
            } else {
                format!("{n_rows} rows are no longer where the sealed plan saw them")
            },
            self.settings.max_drift
        );
        Err(Halted::Refused(Refusal::Drift, reason))
    }

    async fn ask(&self, stop: &Stop, difference: &Preview) -> Result<(), Halted> {
        self.console.ask(&format!("{}. Go on? [y/N]", difference::headline(difference)));
        let answer = tokio::task::spawn_blocking(|| {
            let mut answer = String::new();
            io::stdin().lock().read_line(&mut answer).map(|_| answer)
        });
        let answer = stop.unless_draining(answer).await;
        let Some(answer) = answer else {
            return Err(Halted::With(
                Exit::Interrupted,
                "interrupted at the question; nothing was sent by this launch".to_owned(),
            ));
        };
        let answer = answer.ok().and_then(Result::ok).unwrap_or_default();
        if console::is_yes(&answer) {
            return Ok(());
        }
        Err(Halted::Refused(Refusal::NotAgreed, "not agreed to; nothing was sent by this launch".to_owned()))
    }
}

fn refused_without_leave(difference: &Preview) -> Halted {
    let reason = format!(
        "{} would go to finished, deleting or cleared, which takes leave; --allow-irreversible says that this is meant; \
         nothing was sent by this launch",
        count(difference.n_irreversible, "row")
    );
    Halted::Refused(Refusal::Irreversible, reason)
}
