//! Measure of how near a run comes to a quota that it does not know, how it follows one that changes, how it copes with 429s
//! that are no quota's, and how well it keeps to a given rate. The peer is computed: the time that this many calls take at
//! exactly the quota, or the rate.

use std::error::Error;
use std::path::PathBuf;
use std::sync::Mutex;

use serde_json::json;

use crate::Ask;
use crate::lab::{Home, Lab, Launch, Ran};
use crate::measure::{Sample, float};
use crate::stub::{Manner, Quota, Running, Seen, Throttling};
use crate::table::{Case, Part, Rounds};

const QUOTAS: [u32; 4] = [5, 10, 50, 500];
const RATES: [u32; 3] = [10, 50, 500];
const SHIFTED: u32 = 50;
const BUCKET: (u32, u32) = (20, 5);
/// Beginning and end of outages, in which no request is taken.
const OUTAGES_MS: [(u64, u64); 2] = [(0, 15_000), (5_000, 20_000)];
/// Default rate of a run, and below a higher one.
const OUTAGE_RATE: u32 = 10;
const SPORADIC_RATES: [u32; 2] = [10, 50];
const SPORADIC_PER_MILLE: [u32; 2] = [5, 20];
/// Rate from which a case keeps a processor busy and would delay others, so that such cases run one after the other.
const FAST: u32 = 200;
/// Time in which the quota may be learned by being throttled; only what comes later counts.
const LEARNING_US: u64 = 2_000_000;
const SECOND_US: u64 = 1_000_000;
const STEP_US: usize = 100_000;

struct Trial {
    name: String,
    throttling: Option<Throttling>,
    /// Quota, or given rate, that it has to keep.
    per_second: u32,
    rate: u32,
    n_rows: u64,
}

/// Inputs of one trial, made before all of them start.
struct Ready<'a> {
    trial: &'a Trial,
    launch: Launch,
    plan: PathBuf,
    home: Home,
}

/// Figures of a trial, or the reason for which there are none.
type Outcome = Result<Sample, String>;

pub(crate) fn part(ask: &Ask) -> Result<Part, Box<dyn Error>> {
    let (seconds, rounds) = (ask.seconds(60, 2), ask.rounds(3));
    let lab = Lab::new()?;
    let trials = trials(ask.is_smoke, seconds);
    let mut samples: Vec<Vec<Sample>> = trials.iter().map(|_| Vec::new()).collect();
    let mut failures = Vec::new();
    for round in 1..=rounds {
        eprintln!("  {} trials side by side: round {round} of {rounds}", trials.len());
        for (n, outcome) in held(&lab, &trials, ask.seed + u64::from(round))?.into_iter().enumerate() {
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
    let (outages, sporadic) =
        if is_smoke { (&[(0, 500)][..], &[100][..]) } else { (&OUTAGES_MS[..], &SPORADIC_RATES[..]) };
    let mut trials = Vec::new();
    for (per_second, stated) in quotas.iter().flat_map(|quota| [(*quota, true), (*quota, false)]) {
        trials.push(Trial {
            name: format!("quota {per_second}, {}", told(stated)),
            throttling: Some(Throttling::Quota(Quota { per_second, stated, then: None })),
            per_second,
            rate: 2 * per_second,
            n_rows: u64::from(per_second * seconds),
        });
    }
    for (then, stated) in [(shifted / 2, true), (shifted / 2, false), (shifted * 2, true), (shifted * 2, false)] {
        let then_ms = u64::from(seconds) * 500;
        trials.push(Trial {
            name: format!("quota {shifted}, then {then}, {}", told(stated)),
            throttling: Some(Throttling::Quota(Quota { per_second: shifted, stated, then: Some((then_ms, then)) })),
            per_second: shifted,
            rate: 2 * shifted.max(then),
            n_rows: u64::from((shifted + then) * seconds / 2),
        });
    }
    trials.push(bucket(BUCKET, seconds));
    trials.extend(outages.iter().map(|times_ms| outage(*times_ms, seconds)));
    let shares = sporadic.iter().flat_map(|rate| SPORADIC_PER_MILLE.map(|per_mille| (*rate, per_mille)));
    trials.extend(shares.map(|(rate, per_mille)| sporadically(rate, per_mille, seconds)));
    for rate in rates.iter().copied() {
        let n_rows = u64::from(rate * seconds);
        trials.push(Trial { name: format!("rate {rate}, known"), throttling: None, per_second: rate, rate, n_rows });
    }
    trials
}

fn bucket((per_second, burst): (u32, u32), seconds: u32) -> Trial {
    Trial {
        name: format!("bucket of {per_second} and {burst} saved, unstated"),
        throttling: Some(Throttling::Bucket { per_second, burst }),
        per_second,
        rate: 2 * per_second,
        n_rows: u64::from(per_second * seconds),
    }
}

/// Makes a trial of two runs, one after the other, each half as long.
fn outage((from_ms, to_ms): (u64, u64), seconds: u32) -> Trial {
    Trial {
        name: format!("rate {OUTAGE_RATE}, outage of {} s after {} s", secs(to_ms - from_ms), secs(from_ms)),
        throttling: Some(Throttling::Outage { from_ms, to_ms }),
        per_second: OUTAGE_RATE,
        rate: OUTAGE_RATE,
        n_rows: u64::from(OUTAGE_RATE * seconds / 2),
    }
}

fn sporadically(rate: u32, per_mille: u32, seconds: u32) -> Trial {
    Trial {
        name: format!("rate {rate}, {} % sporadic, unstated", f64::from(per_mille) / 10.0),
        throttling: Some(Throttling::Sporadic { per_mille }),
        per_second: rate,
        rate,
        n_rows: u64::from(rate * seconds),
    }
}

fn secs(ms: u64) -> f64 {
    float(ms) / 1e3
}

fn told(stated: bool) -> &'static str {
    if stated { "stated" } else { "unstated" }
}

/// Runs all trials once: the slow ones, which mostly wait, at the same time, and then the fast ones one by one.
fn held(lab: &Lab, trials: &[Trial], seed: u64) -> Result<Vec<Outcome>, Box<dyn Error>> {
    let ready = trials.iter().map(|trial| ready(lab, trial, seed)).collect::<Result<Vec<_>, _>>()?;
    let outcomes: Vec<Mutex<Option<Outcome>>> = ready.iter().map(|_| Mutex::new(None)).collect();
    let go = |n: usize| {
        let one: &Ready = &ready[n];
        let outcome = one.run().map_err(|error| format!("{}: {error}", one.trial.name));
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

fn ready<'a>(lab: &Lab, trial: &'a Trial, seed: u64) -> Result<Ready<'a>, Box<dyn Error>> {
    let (n_sources, throttling) = (usize::try_from(trial.n_rows)?, trial.throttling.clone());
    let manner = Manner { n_sources, throttling, seed, ..Manner::default() };
    let launch = Launch { n_rows: trial.n_rows, concurrency: 16, rate: trial.rate.to_string(), looks: true, manner };
    Ok(Ready { trial, launch, plan: lab.plan(trial.n_rows)?, home: lab.home()? })
}

impl Ready<'_> {
    fn run(&self) -> Result<Sample, Box<dyn Error>> {
        let stub = Running::start(&self.launch.manner)?;
        let ran = self.launch.run_plan(&stub, &self.plan, &self.home)?;
        let mut sample = self.trial.sample(&ran);
        if let Some(Throttling::Outage { .. }) = self.trial.throttling {
            let next = self.launch.run_plan(&stub, &self.plan, &self.home)?;
            sample.insert(0, ("next_time_over_rate", span_s(&next) / self.trial.needs_s(&next)));
        }
        Ok(sample)
    }
}

impl Trial {
    fn sample(&self, ran: &Ran) -> Sample {
        let over = span_s(ran) / self.needs_s(ran);
        let throttled = ("throttled_share_later", throttled(&ran.seen, ran.seen.first_us + LEARNING_US));
        let mut sample = match &self.throttling {
            None => vec![("time_over_rate", over)],
            Some(Throttling::Quota(Quota { then: None, .. }) | Throttling::Bucket { .. }) => {
                vec![("time_over_quota", over), throttled]
            }
            Some(Throttling::Quota(Quota { then: Some((from_ms, then)), .. })) => {
                let changed_us = ran.seen.first_us + from_ms * 1000;
                vec![
                    ("followed_s", followed(&ran.seen, changed_us, self.per_second, *then)),
                    ("throttled_share_after_change", self::throttled(&ran.seen, changed_us)),
                ]
            }
            Some(Throttling::Sporadic { .. }) => vec![("time_over_rate", over), throttled],
            Some(Throttling::Outage { from_ms, to_ms }) => {
                let needs_s = self.needs_s(ran) + secs(to_ms - from_ms);
                vec![("time_over_rate_and_outage", span_s(ran) / needs_s)]
            }
        };
        sample.extend([("calls", float(n_calls(ran))), ("whole_s", ran.took.time.as_secs_f64())]);
        sample
    }

    /// Returns the seconds that the calls that were taken need at exactly the quota, or the rate.
    fn needs_s(&self, ran: &Ran) -> f64 {
        float(n_calls(ran)) / f64::from(self.per_second)
    }
}

fn n_calls(ran: &Ran) -> u64 {
    ran.seen.n_changes + ran.seen.n_reads
}

/// Returns the seconds from the first request to the last.
fn span_s(ran: &Ran) -> f64 {
    float(ran.seen.last_us - ran.seen.first_us) / 1e6
}

fn throttled(seen: &Seen, from_us: u64) -> f64 {
    let (mut all, mut refused) = (0, 0);
    for (_, is_taken) in seen.came.iter().filter(|(at, _)| *at >= from_us) {
        all += 1;
        refused += u64::from(!is_taken);
    }
    if all == 0 { 0.0 } else { float(refused) / float(all) }
}

/// Returns the seconds from the change of the quota to the first second that follows it: at a lower quota, one with at most a
/// tenth of the calls throttled; at a higher one, one with nine tenths of it taken. NaN if there is none.
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
