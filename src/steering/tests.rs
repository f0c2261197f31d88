use super::*;
use crate::control::Wait;
use crate::journal::read::steering::{LeftOf, RowsLeft};
use crate::values::zone::Zone;
use crate::waves::hooks::{Hook, HookOrigin};
use crate::waves::window::Window;
use crate::waves::{Canary, Part, StageTerms, WaveTerms};
use input::WaitEnd;

const LANE: LaneId = LaneId(1);

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_second(seconds).unwrap()
}

fn settings() -> SteeringSettings {
    SteeringSettings {
        halt: HaltRules::default(),
        window: Window { hours: None, zone: Zone::from_name("UTC").unwrap(), deadline: None },
        reserve_rollback: false,
        ignore_forecast: false,
        approval_timeout: Some(Duration::from_mins(1)),
        concurrency: 4,
        verify_timeout: Duration::from_secs(30),
        hooks: Vec::new(),
        start: None,
    }
}

/// Wave `pilot` with a canary, and wave `main` behind it.
fn terms(canary: StageTerms, pilot: StageTerms, main: StageTerms) -> Terms {
    let canary = Some(Canary { rows: "1".parse().unwrap(), stage: canary });
    let pilot = WaveTerms { name: "pilot".to_owned(), canary, whole: pilot };
    let main = WaveTerms { name: "main".to_owned(), canary: None, whole: main };
    Terms { waves: vec![pilot, main], ..Terms::default() }
}

fn soaks(seconds: u64) -> StageTerms {
    StageTerms { soak_s: Some(seconds), ..StageTerms::default() }
}

fn approved() -> StageTerms {
    StageTerms { approval: true, ..StageTerms::default() }
}

fn state(settings: SteeringSettings, terms: Terms) -> SteeringState {
    let mut state = SteeringState::new(settings, terms, Steered::default());
    state.enrol(LaneTerms {
        id: LANE,
        base_rate: Some(10.0),
        concurrency: 4,
        rate_cap: Some(8.0),
        concurrency_cap: None,
    });
    state
}

fn stage(wave_no: u32, wave: &str, part: Part) -> Stage {
    Stage { wave_no, wave: Some(wave.to_owned()), part }
}

fn due(stage: &Stage, at_rest: &[((u32, Part), Timestamp)], now: Timestamp) -> StageInput {
    StageInput::Due { stage: stage.clone(), at_rest: at_rest.iter().copied().collect(), now }
}

fn wait_over(end: WaitEnd, seconds: i64) -> StageInput {
    StageInput::WaitOver { end, now: at(seconds) }
}

fn wait_began(cause: Wait, stage: &Stage, until: i64) -> [StageOrder; 2] {
    let began = RunEvent::WaitBegan { cause, stage: stage.clone(), until: Some(at(until)) };
    [Order::Record(began).into(), StageOrder::Wait { until: Some(at(until)) }]
}

fn counted(n_rows: u64, part: Part, now: i64) -> StageInput {
    let counted = StageCounts { unsettled: vec![(LANE, part, n_rows)], ..StageCounts::default() };
    StageInput::Counted { counted, rates: Rates::default(), now: at(now) }
}

fn drained(orders: &[Order]) -> Option<(DrainReason, &str)> {
    match orders {
        [
            Order::Drain { reason, why },
            Order::Record(RunEvent::DrainBegan { reason: said, why: Some(said_why) }),
            ..,
        ] => {
            assert_eq!((said, said_why), (reason, why));
            Some((*reason, why))
        }
        _ => None,
    }
}

/// Orders of a stage that may follow from anything.
fn plain(orders: &[StageOrder]) -> Vec<Order> {
    let plain = orders.iter().filter_map(|order| match order {
        StageOrder::Do(order) => Some(order.clone()),
        _ => None,
    });
    plain.collect()
}

/// Gives a command, and commits what is recorded of it.
fn command(state: &mut SteeringState, command: Command) -> (Vec<Order>, Vec<Order>) {
    let by = By { host: "h".to_owned(), via: "control".to_owned(), ..By::default() };
    let orders = state.decide(Input::Commanded { command, by, control: Some(1) });
    let recorded = orders.iter().find_map(|order| match order {
        Order::Record(event) => Some(event.clone()),
        _ => None,
    });
    let in_effect = state.decide(Input::Committed { at: at(0), event: recorded.unwrap() });
    (orders, in_effect)
}

#[test]
fn a_stage_with_nothing_in_its_way_is_counted_and_begins_with_its_own_limits() {
    let limits = StageTerms { rate: Some("20".parse().unwrap()), concurrency: Some(2), ..StageTerms::default() };
    let mut state = state(settings(), terms(limits, StageTerms::default(), StageTerms::default()));
    let canary = stage(0, "pilot", Part::Canary);
    let wanted = WantedCounts { stage: canary.clone(), changed: false, tried_in_stage: false, tried_in_run: false };
    assert_eq!(state.decide_stage(due(&canary, &[], at(0))), [StageOrder::Count(wanted)]);
    let orders = state.decide_stage(counted(3, Part::Canary, 0));
    let began = plain(&orders[3..]);
    // The plan may be slower than others allow, and not faster.
    assert_eq!(
        plain(&orders[..3]),
        [
            Order::Limit(Limit::Rate { lane: LANE, per_second: Some(8.0) }),
            Order::Limit(Limit::Concurrency { lane: LANE, n: 2 }),
            Order::Limit(Limit::Caution(None)),
        ]
    );
    assert!(matches!(began[..], [Order::Record(RunEvent::StageBegan { rows: 3, forecast: Some(_), .. })]), "{began:?}");
}

#[test]
fn a_stage_waits_out_the_soak_of_what_was_changed_before_it() {
    let mut state = state(settings(), terms(soaks(100), soaks(1_000), StageTerms::default()));
    let rest = stage(0, "pilot", Part::Rest);
    let canary_at_rest = [((0, Part::Canary), at(50))];
    assert_eq!(state.decide_stage(due(&rest, &canary_at_rest, at(60))), wait_began(Wait::Soak, &rest, 150));
    // Woken for something else.
    assert_eq!(state.decide_stage(wait_over(WaitEnd::Woken, 70)), [StageOrder::Wait { until: Some(at(150)) }]);
    let orders = state.decide_stage(wait_over(WaitEnd::TimeCame, 150));
    assert!(
        matches!(orders[..], [StageOrder::Do(Order::Record(RunEvent::WaitEnded)), StageOrder::Count(_)]),
        "{orders:?}"
    );

    let main = stage(1, "main", Part::Rest);
    let both = [((0, Part::Canary), at(50)), ((0, Part::Rest), at(200))];
    assert_eq!(state.decide_stage(due(&main, &both, at(300))), wait_began(Wait::Soak, &main, 1_200));
    // Nobody changed anything, so there is nothing to show.
    assert!(matches!(state.decide_stage(due(&main, &[], at(300)))[..], [StageOrder::Count(_)]));
}

#[test]
fn a_stage_begins_once_somebody_releases_it_and_not_when_something_else_wakes_it() {
    let mut state = state(settings(), terms(approved(), approved(), StageTerms::default()));
    let canary = stage(0, "pilot", Part::Canary);
    assert_eq!(state.decide_stage(due(&canary, &[], at(0))), wait_began(Wait::Approval, &canary, 60));
    assert_eq!(state.decide_stage(wait_over(WaitEnd::Woken, 1)), [StageOrder::Wait { until: Some(at(60)) }]);
    let release = |part| Command::Release { wave: "pilot".to_owned(), part };
    let (_, in_effect) = command(&mut state, release(Some(Part::Canary)));
    assert_eq!(in_effect, [Order::Wake]);
    let orders = state.decide_stage(wait_over(WaitEnd::Woken, 2));
    assert!(
        matches!(orders[..], [StageOrder::Do(Order::Record(RunEvent::WaitEnded)), StageOrder::Count(_)]),
        "{orders:?}"
    );
    // What is behind the canary waits for a release of its own.
    let rest = stage(0, "pilot", Part::Rest);
    assert_eq!(state.decide_stage(due(&rest, &[], at(10))), wait_began(Wait::Approval, &rest, 70));
    let orders = state.decide_stage(wait_over(WaitEnd::TimeCame, 70));
    let why = "nobody released what is behind the canary of wave `pilot` in time";
    assert_eq!(orders[0], Order::Record(RunEvent::WaitEnded).into());
    assert_eq!(drained(&plain(&orders[1..])), Some((DrainReason::Unapproved, why)));
    assert_eq!(orders.last(), Some(&StageOrder::StopHere));
}

#[test]
fn a_release_that_came_while_another_was_waited_for_is_not_waited_for_again() {
    let mut state = state(settings(), terms(approved(), StageTerms::default(), approved()));
    let (main, behind_canary) = (stage(1, "main", Part::Rest), stage(0, "pilot", Part::Rest));
    let at_rest = [((0, Part::Canary), at(0))];
    assert_eq!(state.decide_stage(due(&main, &at_rest, at(1))), wait_began(Wait::Approval, &behind_canary, 61));
    let release = |wave: &str, part| Command::Release { wave: wave.to_owned(), part: Some(part) };
    command(&mut state, release("main", Part::Canary));
    assert_eq!(state.decide_stage(wait_over(WaitEnd::Woken, 2)), [StageOrder::Wait { until: Some(at(61)) }]);
    command(&mut state, release("pilot", Part::Rest));
    let orders = state.decide_stage(wait_over(WaitEnd::Woken, 3));
    let waited = |order: &StageOrder| matches!(order, StageOrder::Wait { .. });
    assert!(!orders.iter().any(waited) && matches!(orders.last(), Some(StageOrder::Count(_))), "{orders:?}");
}

#[test]
fn a_run_that_is_stopped_while_a_stage_waits_begins_none() {
    let mut state = state(settings(), terms(approved(), StageTerms::default(), StageTerms::default()));
    state.decide_stage(due(&stage(0, "pilot", Part::Rest), &[], at(0)));
    let orders = state.decide_stage(wait_over(WaitEnd::Draining, 1));
    assert_eq!(orders, [Order::Record(RunEvent::WaitEnded).into(), StageOrder::StopHere]);
}

#[test]
fn a_release_that_does_not_say_what_it_is_for_is_for_what_waits() {
    let mut state = state(settings(), terms(approved(), approved(), StageTerms::default()));
    let part_of = |orders: &[Order]| match orders {
        [Order::Record(RunEvent::Controlled { command: Command::Release { part, .. }, .. })] => *part,
        _ => None,
    };
    let release = || Command::Release { wave: "pilot".to_owned(), part: None };
    assert_eq!(part_of(&command(&mut state, release()).0), Some(Part::Canary));
    let rest = stage(0, "pilot", Part::Rest);
    let [StageOrder::Do(Order::Record(began)), _] = wait_began(Wait::Approval, &rest, 60) else { unreachable!() };
    state.decide(Input::Committed { at: at(0), event: began });
    assert_eq!(part_of(&command(&mut state, release()).0), Some(Part::Rest));
}

/// Limit of ten minutes that ends at this second.
fn start_limit(by: i64) -> settings::StartLimit {
    let within = Duration::from_mins(10);
    settings::StartLimit { by: at(by), ..settings::StartLimit::since(Duration::ZERO, within, at(0), Duration::ZERO) }
}

#[test]
fn a_clock_that_is_set_makes_the_time_to_begin_neither_shorter_nor_longer() {
    let opens = 22 * 3_600;
    let window = Window { hours: Some("22:00-06:00".parse().unwrap()), ..settings().window };
    let plan = Stage { wave_no: 0, wave: None, part: Part::Rest };
    // Asked for ten minutes before the window opens, and decided six minutes later, by a clock that was set in between.
    for (shows, begins) in [
        (opens - 240, true),
        // Set ahead by two minutes; then back by one, by an hour, and to the time at which it was asked for.
        (opens - 120, true),
        (opens - 300, false),
        (opens - 240 - 3_600, false),
        (opens - 600, false),
        (opens - 239, true),
        (opens - 241, false),
    ] {
        let asked_at = Duration::from_hours(5);
        let start = settings::StartLimit::since(asked_at, Duration::from_mins(10), at(opens - 600), asked_at);
        let mut state =
            state(SteeringSettings { window: window.clone(), start: Some(start), ..settings() }, Terms::default());
        state.clock_shows(at(shows), asked_at + Duration::from_mins(6));
        let orders = state.decide_stage(due(&plan, &[], at(shows)));
        assert_eq!(orders == wait_began(Wait::Window, &plan, opens), begins, "{shows}: {orders:?}");
    }
}

#[test]
fn a_launch_that_has_to_begin_before_the_window_opens_does_not_wait_for_it() {
    let opens = 22 * 3_600;
    let nightly = Window { hours: Some("22:00-06:00".parse().unwrap()), ..settings().window };
    let within = |by| SteeringSettings { window: nightly.clone(), start: Some(start_limit(by)), ..settings() };
    let plan = Stage { wave_no: 0, wave: None, part: Part::Rest };
    let mut late = state(within(opens - 1), Terms::default());
    let orders = late.decide_stage(due(&plan, &[], at(opens - 600)));
    let why = "could not begin within 10 min of its launch: it would wait for the window to open, until 1970-01-01 22:00:00 +00:00";
    assert_eq!(drained(&plain(&orders)), Some((DrainReason::NotBegun, why)));
    assert_eq!(orders.last(), Some(&StageOrder::StopHere));
    let mut in_time = state(within(opens), Terms::default());
    assert_eq!(in_time.decide_stage(due(&plan, &[], at(opens - 600))), wait_began(Wait::Window, &plan, opens));
    // Once a stage has begun, later ones wait as long as they have to.
    in_time.decide_stage(wait_over(WaitEnd::TimeCame, opens));
    in_time.decide_stage(counted(1, Part::Rest, opens));
    let next_day = 7 * 3_600 + 24 * 3_600;
    let orders = in_time.decide_stage(due(&plan, &[], at(next_day)));
    assert_eq!(orders, wait_began(Wait::Window, &plan, opens + 24 * 3_600));
}

#[test]
fn what_kept_a_launch_from_beginning_in_time_is_said() {
    let mut state = state(SteeringSettings { start: Some(start_limit(600)), ..settings() }, Terms::default());
    let by = By { host: "bridge".to_owned(), via: "pause-file `p`".to_owned(), ..By::default() };
    let paused = RunEvent::Controlled { command: Command::Pause, by, control: None };
    state.decide(Input::Committed { at: at(1), event: paused });
    let orders = state.decide(Input::NotBegun);
    let Some(Order::Drain { reason: DrainReason::NotBegun, why }) = orders.first() else { panic!("{orders:?}") };
    assert!(why.starts_with("could not begin within 10 min of its launch: paused by "), "{why}");
}

#[test]
fn a_window_is_waited_for_unless_it_is_over() {
    let window = |deadline| Window { deadline: Some(at(deadline)), ..settings().window };
    let mut over = state(SteeringSettings { window: window(100), ..settings() }, Terms::default());
    let plan = Stage { wave_no: 0, wave: None, part: Part::Rest };
    let orders = over.decide_stage(due(&plan, &[], at(100)));
    let why = format!("the time for changes ended at {}", window(100).local(at(100)));
    assert_eq!(drained(&plain(&orders)), Some((DrainReason::Window, why.as_str())));
    assert_eq!(orders.last(), Some(&StageOrder::StopHere));
    let hours = Some("22:00-06:00".parse().unwrap());
    let nightly = Window { hours, ..settings().window };
    let mut state = state(SteeringSettings { window: nightly, ..settings() }, Terms::default());
    let opens = 22 * 3_600;
    assert_eq!(state.decide_stage(due(&plan, &[], at(7 * 3_600))), wait_began(Wait::Window, &plan, opens));
    let orders = state.decide_stage(wait_over(WaitEnd::TimeCame, opens));
    assert!(
        matches!(orders[..], [StageOrder::Do(Order::Record(RunEvent::WaitEnded)), StageOrder::Count(_)]),
        "{orders:?}"
    );
}

#[test]
fn a_stage_for_which_there_is_no_time_does_not_begin_unless_somebody_insists() {
    let plan = Stage { wave_no: 0, wave: None, part: Part::Rest };
    let window = Window { deadline: Some(at(60)), ..settings().window };
    for ignore_forecast in [false, true] {
        let settings = SteeringSettings { window: window.clone(), ignore_forecast, ..settings() };
        let mut state = state(settings, Terms::default());
        state.decide_stage(due(&plan, &[], at(0)));
        // A thousand rows at ten a second take longer than a minute.
        let orders = state.decide_stage(counted(1_000, Part::Rest, 0));
        let refused = drained(&plain(&orders)).map(|(reason, why)| (reason, why.contains("does not begin")));
        assert_eq!(refused, (!ignore_forecast).then_some((DrainReason::TooLong, true)));
        assert_eq!(orders.last() == Some(&StageOrder::StopHere), !ignore_forecast);
    }
}

#[test]
fn a_run_stops_when_the_window_closes_or_the_way_back_needs_what_is_left_of_it() {
    let window = Window { deadline: Some(at(1_000)), ..settings().window };
    let goes_on = |state: &mut SteeringState, now| {
        state.decide_stage(StageInput::GoesOn { rates: Rates::default(), now: at(now) })
    };
    let without = SteeringSettings { window: window.clone(), ..settings() };
    let mut without_way_back = state(without.clone(), Terms::default());
    assert_eq!(goes_on(&mut without_way_back, 0), [StageOrder::LookAgain { at: at(1_000) }]);
    let orders = goes_on(&mut without_way_back, 1_000);
    let why = format!("the window closed at {}", window.local(at(1_000)));
    assert_eq!(drained(&plain(&orders)), Some((DrainReason::Window, why.as_str())));

    let mut reserving = state(SteeringSettings { reserve_rollback: true, ..without }, Terms::default());
    assert_eq!(goes_on(&mut reserving, 0), [StageOrder::LookAgain { at: at(5) }]);
    (0..1_000).for_each(|_| reserving.moved_row(LANE));
    // They take two minutes or so at ten a second.
    assert_eq!(goes_on(&mut reserving, 800), [StageOrder::LookAgain { at: at(805) }]);
    assert_eq!(drained(&plain(&goes_on(&mut reserving, 900))).map(|(reason, _)| reason), Some(DrainReason::TooLong));

    let mut open_for_ever = state(settings(), Terms::default());
    assert_eq!(goes_on(&mut open_for_ever, 0), []);
}

#[test]
fn a_pause_holds_before_it_is_journaled_and_a_rate_only_once_it_is() {
    let mut state = state(settings(), Terms::default());
    let (orders, in_effect) = command(&mut state, Command::Pause);
    assert!(matches!(orders[..], [Order::Limit(Limit::HoldChanges), Order::Record(_)]));
    assert_eq!(in_effect, [Order::Limit(Limit::HoldChanges)]);
    assert!(state.waits().is_some_and(|waits| waits.starts_with("paused by")));
    assert_eq!(command(&mut state, Command::Continue).1, [Order::Limit(Limit::AllowChanges)]);

    let (orders, in_effect) = command(&mut state, Command::Rate { per_second: Some(3.0) });
    assert!(matches!(orders[..], [Order::Record(_)]));
    let limits = [Limit::Rate { lane: LANE, per_second: Some(3.0) }, Limit::SharedRate(Some(3.0))];
    assert_eq!(in_effect, limits.map(Order::Limit));
    command(&mut state, Command::Concurrency { n: 9 });
    // Both win over what the next stage would have.
    let plan = Stage { wave_no: 0, wave: None, part: Part::Rest };
    state.decide_stage(due(&plan, &[], at(0)));
    let orders = state.decide_stage(counted(1, Part::Rest, 0));
    let limits = [Limit::Rate { lane: LANE, per_second: Some(3.0) }, Limit::Concurrency { lane: LANE, n: 9 }];
    assert_eq!(plain(&orders[..2]), limits.map(Order::Limit));
}

#[test]
fn a_drain_and_an_abort_stop_the_run_once_they_are_journaled() {
    let mut state = state(settings(), Terms::default());
    let (orders, in_effect) = command(&mut state, Command::Drain);
    assert_eq!(drained(&orders), None);
    assert_eq!(drained(&in_effect).map(|(reason, _)| reason), Some(DrainReason::Operator));
    let (_, in_effect) = command(&mut state, Command::Abort);
    assert_eq!((drained(&in_effect).is_some(), in_effect.last()), (true, Some(&Order::Abort)));
}

#[test]
fn a_source_is_skipped_before_that_is_journaled() {
    let mut state = state(settings(), Terms::default());
    let by = By { host: "h".to_owned(), ..By::default() };
    state.decide(Input::Commanded { command: Command::Skip { source_id: "vm-1".to_owned() }, by, control: None });
    assert!(state.skipped_by("vm-1").is_some() && state.skipped_by("vm-2").is_none());
}

#[test]
fn enough_failures_stop_the_run_once() {
    let halt = serde_json::from_str(r#"{"consecutive_failures":2}"#).unwrap();
    let mut state = state(SteeringSettings { halt, ..settings() }, Terms::default());
    let mut fail = || {
        let turn = state.begin_row();
        state.decide(Input::RowEnded { turn, result: TryResult::Failed { cause: "a".to_owned() } })
    };
    assert_eq!(fail(), []);
    let orders = fail();
    let why = "the run: 2 rows failed one after another, and consecutive_failures = 2";
    assert_eq!(drained(&orders), Some((DrainReason::Halted, why)));
    assert_eq!(fail(), []);
}

#[test]
fn a_stage_of_which_nothing_is_left_is_ended_and_one_of_which_rows_are_left_lets_none_follow() {
    let mut state = state(settings(), Terms::default());
    let pilot = stage(0, "pilot", Part::Rest);
    let over = |n_left| StageInput::Over { stage: pilot.clone(), n_left, n_left_in_wave: n_left };
    assert_eq!(state.decide_stage(over(0)), [Order::Record(RunEvent::StageEnded { stage: pilot.clone() }).into()]);
    assert_eq!(state.decide_stage(over(1)), []);

    let left =
        |n_rows| LeftOf { in_doubt: RowsLeft { n_rows, first: vec!["vm-1".to_owned()] }, pending: RowsLeft::default() };
    let next = |n_rows, is_draining| StageInput::NextDue { behind: pilot.clone(), left: left(n_rows), is_draining };
    assert_eq!(state.decide_stage(next(0, false)), []);
    assert_eq!(state.decide_stage(next(1, true)), [StageOrder::StopHere]);
    let orders = state.decide_stage(next(1, false));
    assert_eq!(drained(&plain(&orders)).map(|(reason, _)| reason), Some(DrainReason::StageLeft));
    assert_eq!(orders.last(), Some(&StageOrder::StopHere));
}

#[test]
fn an_account_that_stopped_is_no_part_of_the_estimate() {
    let rows = vec![(LANE, Part::Rest, 5_000)];
    let estimate = |state: &SteeringState| {
        let counted = StageCounts { unsettled: rows.clone(), ..StageCounts::default() };
        let plan = Stage { wave_no: 0, wave: None, part: Part::Rest };
        state.estimator(&Rates::default()).without_end(&plan, &counted).unwrap()
    };
    let mut state = state(settings(), Terms::default());
    let going = estimate(&state);
    state.lane_stopped(LANE);
    assert_ne!(estimate(&state), going);
}

/// Stage that waits for nothing but hooks, up to the first order about them.
fn up_to_hooks(steering: &mut SteeringState, stage: &Stage) -> Vec<StageOrder> {
    steering.decide_stage(due(stage, &[], at(0)));
    steering.decide_stage(counted(3, stage.part, 0))
}

fn ran(hook: Hook, from: HookOrigin, wave: Option<&str>, end: HookEnd) -> StageInput {
    let call = HookCall { hook, from, wave_no: wave.map(|_| 0), wave: wave.map(str::to_owned) };
    let ran = HookRun { call, end, output: "first\nlast\n".to_owned(), is_cut: false, elapsed_ms: 1 };
    StageInput::HookEnded { ran, now: at(5) }
}

fn asks(orders: &[StageOrder]) -> Option<String> {
    orders.iter().find_map(|order| match order {
        StageOrder::RunHook(call) => Some(call.to_string()),
        _ => None,
    })
}

fn begins(orders: &[StageOrder]) -> bool {
    plain(orders).iter().any(|order| matches!(order, Order::Record(RunEvent::StageBegan { .. })))
}

fn with_hooks(hooks: &[(Hook, HookOrigin)]) -> SteeringState {
    let nothing = StageTerms::default;
    state(SteeringSettings { hooks: hooks.to_vec(), ..settings() }, terms(nothing(), nothing(), nothing()))
}

#[test]
fn hooks_are_asked_once_nothing_else_is_in_the_way_and_in_their_order() {
    use HookOrigin::{Plan, Settings};
    let ok = || HookEnd::Exit { code: 0 };
    let mut state = with_hooks(&[
        (Hook::BeforeRun, Settings),
        (Hook::BeforeRun, Plan),
        (Hook::BeforeWave, Plan),
        (Hook::AfterWave, Settings),
        (Hook::AfterWave, Plan),
        (Hook::AfterRun, Plan),
    ]);
    assert_eq!(state.hooks_after_run(), [], "nothing was begun that would be over");
    let canary = stage(0, "pilot", Part::Canary);
    let first = up_to_hooks(&mut state, &canary);
    assert_eq!(asks(&first).as_deref(), Some("the hook before_run of the settings"));
    assert_eq!(state.waits().as_deref(), Some("waiting for the hook before_run of the settings"));
    let second = state.decide_stage(ran(Hook::BeforeRun, Settings, None, ok()));
    assert_eq!(asks(&second).as_deref(), Some("the hook before_run of the plan"));
    let third = state.decide_stage(ran(Hook::BeforeRun, Plan, None, ok()));
    assert_eq!(asks(&third).as_deref(), Some("the hook before_wave of the plan for wave `pilot`"));
    assert!(!begins(&first) && !begins(&second) && !begins(&third));
    let last = ran(Hook::BeforeWave, Plan, Some("pilot"), ok());
    let StageInput::HookEnded { ran: last_run, .. } = &last else { unreachable!() };
    let event = last_run.event();
    assert!(begins(&state.decide_stage(last)));
    state.decide(Input::Committed { at: at(5), event });

    // The rest of a wave is no other wave, and the run is begun.
    let over = |n_left_in_wave, part| StageInput::Over { stage: stage(0, "pilot", part), n_left: 0, n_left_in_wave };
    assert_eq!(asks(&state.decide_stage(over(2, Part::Canary))), None);
    assert!(begins(&up_to_hooks(&mut state, &stage(0, "pilot", Part::Rest))));
    let ended = state.decide_stage(over(0, Part::Rest));
    let told: Vec<&str> = ended
        .iter()
        .filter_map(|order| match order {
            StageOrder::RunHook(call) => Some(if call.from == Plan { "plan" } else { "settings" }),
            _ => None,
        })
        .collect();
    assert_eq!(told, ["plan", "settings"], "the other way round");
    // Their failures change nothing.
    let failed = state.decide_stage(ran(Hook::AfterWave, Plan, Some("pilot"), HookEnd::Signal { signal: 9 }));
    assert!(matches!(plain(&failed)[..], [Order::Record(RunEvent::HookRan { .. })]) && failed.len() == 1);
    let main = up_to_hooks(&mut state, &stage(1, "main", Part::Rest));
    assert_eq!(asks(&main).as_deref(), Some("the hook before_wave of the plan for wave `main`"));
    assert_eq!(state.hooks_after_run().len(), 1);
}

#[test]
fn whatever_is_no_success_of_a_hook_before_is_a_veto_but_for_a_stop() {
    for (end, why) in [
        (HookEnd::Exit { code: 1 }, "the hook before_run of the plan ended with 1: last"),
        (HookEnd::Signal { signal: 9 }, "the hook before_run of the plan was ended by signal 9: last"),
        (
            HookEnd::TimedOut { timeout_ms: Some(60_000), file: Some("p.toml".to_owned()) },
            "the hook before_run of the plan did not end within 60 s (`timeout` of [hooks] in `p.toml`): last",
        ),
        (
            HookEnd::NotStarted { why: "no sh".to_owned() },
            "the hook before_run of the plan was not started: no sh: last",
        ),
        (HookEnd::Stopped, ""),
    ] {
        let mut state = with_hooks(&[(Hook::BeforeRun, HookOrigin::Plan), (Hook::AfterRun, HookOrigin::Plan)]);
        up_to_hooks(&mut state, &stage(0, "pilot", Part::Canary));
        let orders = state.decide_stage(ran(Hook::BeforeRun, HookOrigin::Plan, None, end.clone()));
        assert_eq!(orders.last(), Some(&StageOrder::StopHere), "{end:?}");
        let drained = drained(&plain(&orders[1..])).map(|(reason, said)| (reason, said.to_owned()));
        let expected = (end != HookEnd::Stopped).then(|| (DrainReason::Vetoed, why.to_owned()));
        assert_eq!(drained, expected, "{end:?}");
        assert_eq!(state.hooks_after_run().len(), 1, "whatever the hook did is undone");
    }
}

#[test]
fn a_hook_that_a_drain_left_out_is_not_waited_for_and_undone_by_none() {
    let mut state = with_hooks(&[(Hook::BeforeRun, HookOrigin::Plan), (Hook::AfterRun, HookOrigin::Plan)]);
    up_to_hooks(&mut state, &stage(0, "pilot", Part::Canary));
    assert_eq!(state.decide_stage(StageInput::HookLeft), [StageOrder::StopHere]);
    assert_eq!((state.waits(), state.hooks_after_run().len()), (None, 0));
}

#[test]
fn a_window_that_closes_while_a_hook_runs_is_over() {
    let window = Window { deadline: Some(at(3)), ..settings().window };
    let hooks = vec![(Hook::BeforeRun, HookOrigin::Plan)];
    let settings = SteeringSettings { window, hooks, ignore_forecast: true, ..settings() };
    let mut state = state(settings, Terms::default());
    let all = Stage { wave_no: 0, wave: None, part: Part::Rest };
    assert!(asks(&up_to_hooks(&mut state, &all)).is_some());
    let orders = state.decide_stage(ran(Hook::BeforeRun, HookOrigin::Plan, None, HookEnd::Exit { code: 0 }));
    assert_eq!(drained(&plain(&orders[1..])).map(|(reason, _)| reason), Some(DrainReason::Window));
    assert_eq!(orders.last(), Some(&StageOrder::StopHere));
}
