//! Themes: kinds of faults, and what an endpoint does to one request in each. All of it is drawn by seeded random numbers.
//!
//! sources of statuses and codes: api-sms/ErrorCode.html, SMS FAQs PDF Issue 70 chapter 16,
//! devg-apisign/api-sign-errorcode.html, api-sms status-code page; statuses of things in between: RFC 9110.

use crate::dice::Dice;

/// State of a server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct State {
    pub(crate) copystate: &'static str,
    pub(crate) cycle: &'static str,
}

pub(crate) const fn state(copystate: &'static str, cycle: &'static str) -> State {
    State { copystate, cycle }
}

/// Kind of faults that a seed is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Theme {
    /// Pauses with changes recorded and not sent, while others move the servers.
    Paused,
    /// Reads that answer 200 without a word.
    Empty,
    /// Lost answers, late effects, and refusals because the server has moved meanwhile.
    Doubt,
    /// Half pairs that are filled in, and expected states, in a slow lane: others move them before they are sent.
    Halves,
    /// Answers with contradictory status and code.
    Codes,
    /// Answers of a device between client and service.
    Between,
    /// Effects in two steps, sources that vanish for half a second, stale reads.
    Strange,
    /// Moves by others at every step.
    Hands,
    /// Kills at any moment.
    Kills,
    /// All kinds at once.
    Everything,
}

impl Theme {
    const ALL: [Theme; 10] = [
        Theme::Paused,
        Theme::Empty,
        Theme::Doubt,
        Theme::Halves,
        Theme::Codes,
        Theme::Between,
        Theme::Strange,
        Theme::Hands,
        Theme::Kills,
        Theme::Everything,
    ];

    pub(crate) fn from_seed(seed: u64) -> Self {
        Theme::ALL[usize::try_from(seed % Theme::ALL.len() as u64).unwrap()]
    }

    fn is_any(self, themes: &[Theme]) -> bool {
        self == Theme::Everything || themes.contains(&self)
    }

    /// Returns the rate of requests per second.
    pub(crate) fn rate(self) -> &'static str {
        match self {
            Theme::Halves => "4",
            Theme::Paused => "25",
            Theme::Empty
            | Theme::Doubt
            | Theme::Codes
            | Theme::Between
            | Theme::Strange
            | Theme::Hands
            | Theme::Kills
            | Theme::Everything => "60",
        }
    }

    pub(crate) fn kills(self) -> bool {
        self.is_any(&[Theme::Kills])
    }

    pub(crate) fn pauses(self) -> bool {
        self.is_any(&[Theme::Paused])
    }

    /// Returns the number of times that a run is resumed before the endpoint's faults end.
    pub(crate) fn n_resumes(self) -> u32 {
        if self.is_any(&[Theme::Codes, Theme::Between]) { 4 } else { 1 }
    }

    /// Tells whether sources are not found for half a second after they were changed.
    pub(crate) fn vanishes(self) -> bool {
        self.is_any(&[Theme::Strange])
    }

    /// Returns the percentage of rows with half a pair, or with an expected state.
    pub(crate) fn halves(self) -> u32 {
        if self == Theme::Halves { 80 } else { 30 }
    }
}

/// Effect of a change, with its delay.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Effect {
    None,
    In {
        ms: u64,
    },
    /// Goes through another state first.
    ByWayOf {
        middle: State,
        ms: u64,
    },
    /// Changes one field first.
    ByHalves {
        ms: u64,
    },
}

/// Answer to a change.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Answer {
    Says { status: u16, code: Option<&'static str>, shape: Shape },
    Hang,
    Reset,
    CutOff,
}

/// Shape of an error's body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Shape {
    Service,
    Nested,
    Camel,
    Detailed,
    Text,
    Html,
    Nothing,
}

/// Conclusion that a careful client may draw from an answer alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Meaning {
    Accepted,
    /// The service itself refuses the row.
    Refused,
    /// The quota refuses the request unread; it may be sent again unchanged.
    Throttled,
    /// The answer is about the credentials or the account.
    Stops,
    /// The answer leaves open whether the change was made.
    Doubt,
}

/// Refusals because of the row.
const REFUSALS: &[(u16, Option<&str>)] = &[
    (400, Some("SMS.9001")),
    (403, Some("SMS.9004")),
    (400, Some("SMS.0204")),
    (400, Some("SMS.6010")),
    (400, Some("SMS.6603")),
    (400, Some("SMS.7605")),
    (400, Some("SMS.7703")),
    (400, Some("SMS.6531")),
    (400, Some("SMS.2216")),
    (403, Some("SMS.2248")),
    (404, Some("SMS.2252")),
    (409, Some("SMS.9998")),
    (422, Some("SMS.9999")),
    (400, None),
];
/// Refusals because the server has moved.
const HAS_MOVED: &[(u16, Option<&str>)] = &[
    (400, Some("SMS.6003")),
    (400, Some("SMS.6001")),
    (403, Some("SMS.2248")),
    (404, Some("SMS.2216")),
    (409, Some("SMS.6005")),
    (400, None),
];
/// Codes of errors that may pass by themselves.
const TRANSIENT: &[&str] = &["SMS.6301", "SMS.0201", "SMS.0203", "SMS.0208"];
/// Answers about the credentials or the account, with a status that leaves open whether the request was processed.
const STOPS: &[(u16, &str)] = &[
    (403, "APIGW.0302"),
    (403, "APIGW.0310"),
    (403, "APIGW.0401"),
    (403, "APIGW.0802"),
    (403, "SMS.6526"),
    (403, "SMS.6528"),
];
/// Codes that contradict the status that they come with.
const CONTRADICTING: &[&str] = &[
    "APIGW.0308",
    "APIG.0308",
    "APIGW.0302",
    "SMS.6526",
    "APIGW.0310",
    "SMS.6528",
    "SMS.9001",
    "SMS.9004",
    "APIGW.0301",
    "SMS.7703",
];
const OF_SERVER: &[&str] = &["SMS.2007", "APIGW.0201", "APIGW.0601", "APIGW.0613", "APIG.0605", "SMS.0515"];
const SERVER_ERRORS: &[u16] = &[500, 502, 503, 504, 500, 502, 503, 504, 501, 507, 520];
const IN_BETWEEN: &[u16] = &[407, 408, 418, 421, 425, 499];
const REDIRECTS: &[u16] = &[301, 302, 303, 307, 308];
const SHAPES: &[Shape] = &[
    Shape::Service,
    Shape::Service,
    Shape::Nested,
    Shape::Camel,
    Shape::Detailed,
    Shape::Text,
    Shape::Html,
    Shape::Nothing,
];
const JSON: &[Shape] = &[Shape::Service, Shape::Service, Shape::Nested, Shape::Camel, Shape::Detailed];

impl Answer {
    pub(crate) const DONE: Answer = Answer::Says { status: 200, code: None, shape: Shape::Nothing };

    pub(crate) fn status(self) -> Option<u16> {
        match self {
            Answer::Says { status, .. } => Some(status),
            Answer::Hang | Answer::Reset | Answer::CutOff => None,
        }
    }

    pub(crate) fn meaning(self) -> Meaning {
        let Answer::Says { status, code, shape } = self else { return Meaning::Doubt };
        let is_document = !matches!(shape, Shape::Html | Shape::Nothing | Shape::Text);
        match status {
            200..300 => Meaning::Accepted,
            429 => Meaning::Throttled,
            401 => Meaning::Stops,
            407 | 408 | 418 | 421 | 425 | 499 => Meaning::Doubt,
            400..500 if !is_document => Meaning::Doubt,
            400..500 if code.is_some_and(|code| TRANSIENT.contains(&code)) => Meaning::Doubt,
            400..500 if code.is_some_and(|code| STOPS.iter().any(|(_, stops)| *stops == code)) => Meaning::Stops,
            400..500 => Meaning::Refused,
            _ => Meaning::Doubt,
        }
    }
}

/// Effect and answer of one change.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Deed {
    pub(crate) effect: Effect,
    pub(crate) answer: Answer,
    /// Time from the request to the answer.
    pub(crate) takes_ms: u64,
}

#[derive(Clone, Copy)]
enum Kind {
    Well,
    Silent,
    Late,
    Slowly,
    Lost,
    ServerError,
    OddSuccess,
    InBetween,
    Transient,
    Refused,
    Throttled,
    Stops,
}

/// Draws effect and answer of the n-th change of a source. `has_moved`: it is not where it was when the run began.
pub(crate) fn deed(theme: Theme, dice: &mut Dice, n: usize, has_moved: bool) -> Deed {
    let takes_ms = dice.between(0, 20);
    let refused = |dice: &mut Dice, all: &[(u16, Option<&'static str>)]| {
        let (status, code) = dice.one_of(all);
        Answer::Says { status, code, shape: dice.one_of(JSON) }
    };
    if has_moved && n > 0 && theme.is_any(&[Theme::Doubt]) && dice.percent(80) {
        return Deed { effect: Effect::None, answer: refused(dice, HAS_MOVED), takes_ms };
    }
    // From the fourth change on it works.
    let kind = if n > 3 || dice.percent(20) { Kind::Well } else { dice.weighed(&weights(theme)) };
    let doubtful = |dice: &mut Dice| match dice.between(0, 9) {
        // Late enough that the look which permits another attempt comes before the effect.
        0..=5 if theme == Theme::Doubt => Effect::In { ms: dice.between(950, 1400) },
        0..=3 => Effect::In { ms: 0 },
        4..=6 => Effect::In { ms: dice.between(50, 800) },
        _ => Effect::None,
    };
    let (effect, answer) = match kind {
        Kind::Well => (Effect::In { ms: 0 }, Answer::DONE),
        Kind::Silent => (Effect::None, Answer::DONE),
        Kind::Late => (Effect::In { ms: dice.between(50, 800) }, Answer::DONE),
        Kind::Slowly => {
            let ms = dice.between(50, 400);
            let middle = dice.one_of(MIDDLE);
            (if dice.percent(50) { Effect::ByWayOf { middle, ms } } else { Effect::ByHalves { ms } }, Answer::DONE)
        }
        Kind::Lost => (doubtful(dice), dice.one_of(&[Answer::Hang, Answer::Reset, Answer::Reset, Answer::CutOff])),
        Kind::ServerError => {
            let status = dice.one_of(SERVER_ERRORS);
            let codes = if dice.percent(60) { CONTRADICTING } else { OF_SERVER };
            let code = dice.one_of(codes);
            (doubtful(dice), Answer::Says { status, code: Some(code), shape: dice.one_of(SHAPES) })
        }
        Kind::OddSuccess => {
            let status = dice.one_of(&[200, 200, 200, 201, 202]);
            let code = Some(dice.one_of(CONTRADICTING));
            (doubtful(dice), Answer::Says { status, code, shape: dice.one_of(SHAPES) })
        }
        Kind::InBetween => {
            let (status, shape) = match dice.between(0, 3) {
                0 => (dice.one_of(&[400, 403, 404]), dice.one_of(&[Shape::Html, Shape::Nothing])),
                1 => (dice.one_of(REDIRECTS), dice.one_of(&[Shape::Html, Shape::Nothing])),
                _ => (dice.one_of(IN_BETWEEN), dice.one_of(SHAPES)),
            };
            (doubtful(dice), Answer::Says { status, code: Some(dice.one_of(CONTRADICTING)), shape })
        }
        Kind::Transient => {
            let code = Some(dice.one_of(TRANSIENT));
            (doubtful(dice), Answer::Says { status: 400, code, shape: dice.one_of(JSON) })
        }
        Kind::Refused => (Effect::None, refused(dice, REFUSALS)),
        Kind::Throttled => {
            let shape = dice.one_of(SHAPES);
            (Effect::None, Answer::Says { status: 429, code: Some("APIGW.0308"), shape })
        }
        Kind::Stops => {
            let (status, code) = dice.one_of(STOPS);
            (Effect::None, Answer::Says { status, code: Some(code), shape: dice.one_of(JSON) })
        }
    };
    Deed { effect, answer, takes_ms }
}

fn weights(theme: Theme) -> Vec<(u32, Kind)> {
    match theme {
        Theme::Paused => vec![(50, Kind::Silent), (30, Kind::Late), (20, Kind::Well)],
        Theme::Empty => vec![(40, Kind::Lost), (20, Kind::ServerError), (20, Kind::Late), (20, Kind::Well)],
        Theme::Doubt => vec![(50, Kind::Lost), (30, Kind::ServerError), (10, Kind::Transient), (10, Kind::Refused)],
        Theme::Halves => vec![(10, Kind::Late), (5, Kind::Silent), (5, Kind::Refused), (80, Kind::Well)],
        Theme::Codes => vec![
            (50, Kind::ServerError),
            (20, Kind::OddSuccess),
            (10, Kind::Transient),
            (15, Kind::Refused),
            (4, Kind::Throttled),
            (1, Kind::Stops),
        ],
        Theme::Between => vec![(55, Kind::InBetween), (15, Kind::Refused), (30, Kind::Well)],
        Theme::Strange => vec![(50, Kind::Slowly), (20, Kind::Late), (10, Kind::Lost), (20, Kind::Well)],
        Theme::Hands => {
            vec![(20, Kind::Silent), (20, Kind::Late), (15, Kind::Lost), (10, Kind::ServerError), (35, Kind::Well)]
        }
        Theme::Kills => vec![
            (10, Kind::Silent),
            (15, Kind::Late),
            (20, Kind::Lost),
            (10, Kind::ServerError),
            (5, Kind::Refused),
            (40, Kind::Well),
        ],
        Theme::Everything => vec![
            (10, Kind::Silent),
            (15, Kind::Late),
            (10, Kind::Slowly),
            (15, Kind::Lost),
            (20, Kind::ServerError),
            (5, Kind::OddSuccess),
            (10, Kind::InBetween),
            (5, Kind::Transient),
            (8, Kind::Refused),
            (2, Kind::Throttled),
        ],
    }
}

const MIDDLE: &[State] = &[state("stopping", "syncing"), state("skipping", "syncing"), state("cutovering", "syncing")];

/// View of one source in one read.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Glass {
    Clear,
    Stale {
        ms: u64,
    },
    /// Without a word in one field or both.
    Empty {
        copystate: bool,
        cycle: bool,
        as_json: Option<&'static str>,
    },
    Capitals,
    WithoutId,
    OfAnother,
}

/// JSON values in place of a word; `None` for an absent field.
const NO_WORDS: &[Option<&str>] =
    &[None, Some("null"), Some("null"), Some("\"\""), Some("\"  \""), Some("true"), Some("[]"), Some("{}"), Some("7")];

pub(crate) fn glass(theme: Theme, dice: &mut Dice) -> Glass {
    let odd = match theme {
        Theme::Empty => 60,
        Theme::Strange => 40,
        Theme::Everything => 30,
        Theme::Doubt => 20,
        Theme::Paused | Theme::Halves | Theme::Hands | Theme::Codes | Theme::Between | Theme::Kills => 0,
    };
    if !dice.percent(odd) {
        return if dice.percent(10) { Glass::Capitals } else { Glass::Clear };
    }
    let stale = Glass::Stale { ms: dice.between(50, 500) };
    if !theme.is_any(&[Theme::Empty]) || (theme == Theme::Everything && dice.percent(50)) {
        return stale;
    }
    match dice.between(0, 9) {
        0 => Glass::WithoutId,
        1 => Glass::OfAnother,
        2 => stale,
        _ => {
            let both = dice.between(0, 2);
            Glass::Empty { copystate: both != 1, cycle: both != 0, as_json: dice.one_of(NO_WORDS) }
        }
    }
}

/// Fault of a read as a whole.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Reading {
    Served,
    Says {
        status: u16,
        shape: Shape,
    },
    /// An empty answer with status 200.
    Blank,
    Hang,
    Reset,
}

pub(crate) fn reading(theme: Theme, dice: &mut Dice) -> Reading {
    let odd = match theme {
        Theme::Empty | Theme::Everything => 15,
        Theme::Doubt | Theme::Strange | Theme::Kills | Theme::Hands => 8,
        Theme::Paused | Theme::Halves | Theme::Codes | Theme::Between => 0,
    };
    if !dice.percent(odd) {
        return Reading::Served;
    }
    match dice.between(0, 9) {
        0..=3 => Reading::Says { status: dice.one_of(SERVER_ERRORS), shape: dice.one_of(SHAPES) },
        4 => Reading::Says { status: dice.one_of(IN_BETWEEN), shape: dice.one_of(SHAPES) },
        5 => Reading::Says { status: dice.one_of(&[403, 404, 200, 302]), shape: Shape::Html },
        6..=7 => Reading::Blank,
        8 => Reading::Hang,
        _ => Reading::Reset,
    }
}

/// Returns the percentage of sources that a page leaves out, as shifting pages do.
pub(crate) fn leaves_out(theme: Theme) -> u32 {
    match theme {
        Theme::Strange => 40,
        Theme::Everything | Theme::Empty | Theme::Doubt => 15,
        Theme::Paused | Theme::Halves | Theme::Hands | Theme::Codes | Theme::Between | Theme::Kills => 3,
    }
}

/// Moment at which somebody else moves a source.
#[derive(Clone, Copy, Debug)]
pub(crate) enum When {
    /// After it was shown for the n-th time.
    Shown { nth: usize, ms: u64 },
    /// On the arrival of its n-th change, before that is processed.
    Sent { nth: usize },
    /// After its n-th change has arrived.
    AfterSent { nth: usize, ms: u64 },
}

/// Destination of a foreign move.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Where {
    Elsewhere(State),
    Back,
    OnTarget,
    /// A state of the half that the plan leaves open, or of either half.
    OtherHalf(State),
}

const ELSEWHERE: &[State] = &[
    state("premiged", "setting"),
    state("waiting", "setting"),
    state("premigready", "setting"),
    state("clearing", "cutovered"),
];

/// Draws the plans that others have for one source.
pub(crate) fn hand(theme: Theme, dice: &mut Dice) -> Option<(When, Where)> {
    let share = match theme {
        Theme::Halves => 60,
        Theme::Hands => 50,
        Theme::Everything | Theme::Doubt => 25,
        Theme::Kills => 15,
        Theme::Paused | Theme::Empty | Theme::Codes | Theme::Between => 10,
        Theme::Strange => 0,
    };
    if !dice.percent(share) {
        return None;
    }
    let elsewhere = dice.one_of(ELSEWHERE);
    let to = match dice.between(0, 9) {
        0..=4 => Where::Elsewhere(elsewhere),
        5 => Where::Back,
        6 => Where::OnTarget,
        _ => Where::OtherHalf(elsewhere),
    };
    if theme == Theme::Halves {
        return Some((When::Shown { nth: 0, ms: dice.between(200, 800) }, Where::OtherHalf(elsewhere)));
    }
    let when = match dice.between(0, 5) {
        0..=1 => When::Shown { nth: usize::try_from(dice.between(0, 2)).unwrap(), ms: dice.between(0, 1000) },
        2 => When::Sent { nth: usize::try_from(dice.between(0, 1)).unwrap() },
        _ => When::AfterSent { nth: usize::try_from(dice.between(0, 1)).unwrap(), ms: dice.between(0, 1500) },
    };
    Some((when, to))
}

/// Draws the state to which a source is moved while its change waits for the end of a pause.
pub(crate) fn elsewhere(dice: &mut Dice) -> State {
    dice.one_of(ELSEWHERE)
}
