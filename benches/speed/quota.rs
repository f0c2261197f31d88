//! How near a run comes to a quota that it does not know, how it follows one that changes, and how well it keeps to a rate
//! that it was given. The peer is arithmetic: the time that so many calls take at exactly the quota.

use std::error::Error;
use std::path::PathBuf;
use std::sync::Mutex;

use serde_json::json;

use crate::Ask;
use crate::lab::{Home, Lab, Launch, Ran};
use crate::measure::{Sample, float};
use crate::stub::{Manner, Quota, Seen};
use crate::table::{Case, Part, Rounds};

const QUOTAS: [u32; 4] = [5, 10, 50, 500];
const RATES: [u32; 3] = [10, 50, 500];
const SHIFTED: u32 = 50;
/// From here on a case keeps a processor busy, and would make another one late: one after the other.
const FAST: u32 = 200;
/// Being throttled is how a quota is learned: what comes after these seconds counts.
const LEARNING_US: u64 = 2_000_000;
const SECOND_US: u64 = 1_000_000;
const STEP_US: usize = 100_000;

struct Trial {
    name: String,
    quota: Option<Quota>,
    /// That it keeps to: the quota, or the rate that it was given.
    per_second: u32,
    rate: u32,
    n_rows: u64,
}

/// What one trial needs, made before all of them start.
struct Ready<'a> {
    trial: &'a Trial,
    launch: Launch,
    plan: PathBuf,
    home: Home,
}

/// Or why there is none.
type Outcome = Result<Sample, String>;

pub(crate) fn part(ask: &Ask) -> Result<Part, Box<dyn Error>> {
    let (seconds, rounds) = (ask.seconds(60, 2), ask.rounds(3));
    let lab = Lab::new()?;
    let trials = trials(ask.is_smoke, seconds);
    let mut samples: Vec<Vec<Sample>> = trials.iter().map(|_| Vec::new()).collect();
    let mut failures = Vec::new();
    for round in 1..=rounds {
        eprintln!("  {} trials side by side: round {round} of {rounds}", trials.len());
        for (n, outcome) in held(&lab, &trials)?.into_iter().enumerate() {
            match outcome {
                Ok(sample) => samples[n].push(sample),
                Err(failure) => failures.push(failure),
            }
        }
    }
    let case = |(trial, samples): (&Trial, Vec<Sample>)| {
        let (lead, _) = samples.first()?.first()?;
        Some(Case { name: trial.name.clone(), lead, ours: Rounds(samples), peers: Vec::new() })
    };
    let cases = trials.iter().zip(samples).filter_map(case).collect();
    let facts = vec![("seconds", json!(seconds)), ("concurrency", json!(16))];
    Ok(Part { failures, ..Part::new("quota", rounds, facts, cases) })
}

fn trials(is_smoke: bool, seconds: u32) -> Vec<Trial> {
    let (quotas, rates, shifted) =
        if is_smoke { (&[150][..], &[150][..], 100) } else { (&QUOTAS[..], &RATES[..], SHIFTED) };
    let mut trials = Vec::new();
    for (per_second, stated) in quotas.iter().flat_map(|quota| [(*quota, true), (*quota, false)]) {
        trials.push(Trial {
            name: format!("quota {per_second}, {}", told(stated)),
            quota: Some(Quota { per_second, stated, then: None }),
            per_second,
            rate: 2 * per_second,
            n_rows: u64::from(per_second * seconds),
        });
    }
    for (then, stated) in [(shifted / 2, true), (shifted / 2, false), (shifted * 2, true), (shifted * 2, false)] {
        trials.push(Trial {
            name: format!("quota {shifted}, then {then}, {}", told(stated)),
            quota: Some(Quota { per_second: shifted, stated, then: Some((u64::from(seconds) * 500, then)) }),
            per_second: shifted,
            rate: 2 * shifted.max(then),
            n_rows: u64::from((shifted + then) * seconds / 2),
        });
    }
    for rate in rates.iter().copied() {
        let n_rows = u64::from(rate * seconds);
        trials.push(Trial { name: format!("rate {rate}, known"), quota: None, per_second: rate, rate, n_rows });
    }
    trials
}

fn told(stated: bool) -> &'static str {
    if stated { "stated" } else { "unstated" }
}

/// All trials once: the slow ones, which mostly wait, all at the same time, and then the fast ones one by one.
fn held(lab: &Lab, trials: &[Trial]) -> Result<Vec<Outcome>, Box<dyn Error>> {
    let ready = trials.iter().map(|trial| ready(lab, trial)).collect::<Result<Vec<_>, _>>()?;
    let outcomes: Vec<Mutex<Option<Outcome>>> = ready.iter().map(|_| Mutex::new(None)).collect();
    let go = |n: usize| {
        let one: &Ready = &ready[n];
        let ran = one.launch.run_plan(&one.plan, &one.home);
        let outcome = ran.map(|ran| one.trial.sample(&ran)).map_err(|error| format!("{}: {error}", one.trial.name));
        *outcomes[n].lock().expect("nobody panics with it") = Some(outcome);
    };
    let (fast, slow): (Vec<usize>, Vec<usize>) = (0..ready.len()).partition(|n| trials[*n].per_second >= FAST);
    std::thread::scope(|scope| {
        for n in slow {
            scope.spawn(move || go(n));
        }
    });
    fast.into_iter().for_each(go);
    let outcome = |outcome: Mutex<Option<Outcome>>| outcome.into_inner().expect("nobody panics with it");
    outcomes.into_iter().map(|one| Ok(outcome(one).ok_or("a trial was not held")?)).collect()
}

fn ready<'a>(lab: &Lab, trial: &'a Trial) -> Result<Ready<'a>, Box<dyn Error>> {
    let manner = Manner { n_sources: usize::try_from(trial.n_rows)?, quota: trial.quota.clone(), ..Manner::default() };
    let launch = Launch { n_rows: trial.n_rows, concurrency: 16, rate: trial.rate.to_string(), looks: true, manner };
    Ok(Ready { trial, launch, plan: lab.plan(trial.n_rows)?, home: lab.home()? })
}

impl Trial {
    fn sample(&self, ran: &Ran) -> Sample {
        let calls = ran.seen.n_changes + ran.seen.n_reads;
        let span = float(ran.seen.last_us - ran.seen.first_us) / 1e6;
        let over_quota = span * f64::from(self.per_second) / float(calls);
        let throttled = ("throttled_share_later", throttled(&ran.seen, ran.seen.first_us + LEARNING_US));
        match &self.quota {
            None => {
                vec![("time_over_rate", over_quota), ("calls", float(calls)), ("whole_s", ran.took.time.as_secs_f64())]
            }
            Some(Quota { then: None, .. }) => vec![
                ("time_over_quota", over_quota),
                throttled,
                ("calls", float(calls)),
                ("whole_s", ran.took.time.as_secs_f64()),
            ],
            Some(Quota { then: Some((from_ms, then)), .. }) => {
                let changed_us = ran.seen.first_us + from_ms * 1000;
                vec![
                    ("followed_s", followed(&ran.seen, changed_us, self.per_second, *then)),
                    ("throttled_share_after_change", self::throttled(&ran.seen, changed_us)),
                    ("calls", float(calls)),
                    ("whole_s", ran.took.time.as_secs_f64()),
                ]
            }
        }
    }
}

fn throttled(seen: &Seen, from_us: u64) -> f64 {
    let (mut all, mut refused) = (0, 0);
    for (_, is_taken) in seen.came.iter().filter(|(at, _)| *at >= from_us) {
        all += 1;
        refused += u64::from(!is_taken);
    }
    if all == 0 { 0.0 } else { float(refused) / float(all) }
}

/// Seconds from the change to the first second that is as it should be: at a lower quota one in which at most a tenth of the
/// calls are throttled, at a higher one one in which nine tenths of it are taken. Not a number if there is none.
fn followed(seen: &Seen, changed_us: u64, before: u32, then: u32) -> f64 {
    let starts = (changed_us..=seen.last_us.saturating_sub(SECOND_US)).step_by(STEP_US);
    let is_so = |start: &u64| {
        let within = seen.came.iter().filter(|(at, _)| (*start..*start + SECOND_US).contains(at));
        let (mut all, mut taken) = (0_u64, 0_u64);
        within.for_each(|(_, is_taken)| {
            all += 1;
            taken += u64::from(*is_taken);
        });
        let then = u64::from(then);
        if then > u64::from(before) {
            taken * 10 >= then * 9
        } else {
            taken > 0 && taken <= then && (all - taken) * 10 <= all
        }
    };
    let first = starts.into_iter().find(is_so);
    first.map_or(f64::NAN, |start| float(start - changed_us) / 1e6)
}
