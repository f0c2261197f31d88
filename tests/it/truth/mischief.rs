//! Themes: kinds of nights, and what an endpoint does to one request in each. All of it is drawn from dice.
//!
//! sources of statuses and codes: api-sms/ErrorCode.html, SMS FAQs PDF Issue 70 chapter 16,
//! devg-apisign/api-sign-errorcode.html, api-sms status-code page; statuses of things in between: RFC 9110.

use super::dice::Dice;

/// State of a server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct State {
    pub(crate) copystate: &'static str,
    pub(crate) cycle: &'static str,
}

pub(crate) const fn state(copystate: &'static str, cycle: &'static str) -> State {
    State { copystate, cycle }
}

/// The kind of mischief that a seed is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Theme {
    /// Paused with changes written down and not sent, while others move what was not sent.
    Paused,
    /// Reads that answer 200 and show no word.
    Empty,
    /// Answers lost, effects that come late, and refusals because the server has moved since.
    Doubt,
    /// Halves that are filled in and expectations, in a slow lane, moved by others before they are sent.
    Halves,
    /// Answers whose status and code contradict each other.
    Codes,
    /// Answers of something between us and the service.
    Between,
    /// Effects in two steps, sources that vanish for half a second, stale reads.
    Strange,
    /// Foreign hands at every step.
    Hands,
    /// Killed at any moment.
    Kills,
    /// Every kind at once.
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

    pub(crate) fn of(seed: u64) -> Self {
        Theme::ALL[usize::try_from(seed % Theme::ALL.len() as u64).unwrap()]
    }

    fn is_any(self, themes: &[Theme]) -> bool {
        self == Theme::Everything || themes.contains(&self)
    }

    /// Requests per second.
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

    /// Number of times that a run is taken up again before the endpoint comes to rest.
    pub(crate) fn n_resumes(self) -> u32 {
        if self.is_any(&[Theme::Codes, Theme::Between]) { 4 } else { 1 }
    }

    /// Sources that are not found for half a second after they were changed.
    pub(crate) fn vanishes(self) -> bool {
        self.is_any(&[Theme::Strange])
    }

    /// Rows of half a pair, and rows that expect something, in a hundred.
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
    /// By way of another state.
    ByWayOf {
        middle: State,
        ms: u64,
    },
    /// One field first.
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

/// The shape of an error's body.
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
    /// The service's own word about the row: no.
    Refused,
    /// Refused unread by the quota; may be sent again as it is.
    Throttled,
    /// About who asks, or about the account.
    Stops,
    /// Leaves open if it was done.
    Doubt,
}

/// A refusal because of the row.
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
/// Because the server has moved.
const HAS_MOVED: &[(u16, Option<&str>)] = &[
    (400, Some("SMS.6003")),
    (400, Some("SMS.6001")),
    (403, Some("SMS.2248")),
    (404, Some("SMS.2216")),
    (409, Some("SMS.6005")),
    (400, None),
];
/// May pass by itself.
const TRANSIENT: &[&str] = &["SMS.6301", "SMS.0201", "SMS.0203", "SMS.0208"];
/// About who asks, or about the account, where the status does not say that the request was handled.
const STOPS: &[(u16, &str)] = &[
    (403, "APIGW.0302"),
    (403, "APIGW.0310"),
    (403, "APIGW.0401"),
    (403, "APIGW.0802"),
    (403, "SMS.6526"),
    (403, "SMS.6528"),
];
/// Codes that say one thing under statuses that say another.
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

/// Draws the deed for the n-th change of a source. `has_moved`: it is not where it was when the run began.
pub(crate) fn deed(theme: Theme, dice: &mut Dice, n: usize, has_moved: bool) -> Deed {
    let takes_ms = dice.between(0, 20);
    let refused = |dice: &mut Dice, all: &[(u16, Option<&'static str>)]| {
        let (status, code) = dice.one_of(all);
        Answer::Says { status, code, shape: dice.one_of(JSON) }
    };
    if has_moved && n > 0 && theme.is_any(&[Theme::Doubt]) && dice.percent(80) {
        return Deed { effect: Effect::None, answer: refused(dice, HAS_MOVED), takes_ms };
    }
    // Sooner or later it works.
    let kind = if n > 3 || dice.percent(20) { Kind::Well } else { dice.weighed(&weights(theme)) };
    let doubtful = |dice: &mut Dice| match dice.between(0, 9) {
        // So late that the look which permits to send again has come before it.
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
    /// No word in one field or in both.
    Empty {
        copystate: bool,
        cycle: bool,
        as_json: Option<&'static str>,
    },
    Capitals,
    WithoutId,
    OfAnother,
}

/// JSON that stands where a word should; none for a field that is absent.
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

/// Fate of a read as a whole.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Reading {
    Served,
    Says {
        status: u16,
        shape: Shape,
    },
    /// 200, and nothing in it.
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

/// Percentage of sources that a page leaves out, as pages do that shift.
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
    /// As its n-th change comes, before that is handled.
    Sent { nth: usize },
    /// After its n-th change has come.
    AfterSent { nth: usize, ms: u64 },
}

/// Destination of a foreign move.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Where {
    Elsewhere(State),
    Back,
    OnTarget,
    /// Only the half that the plan leaves open, or one of the two.
    OtherHalf(State),
}

const ELSEWHERE: &[State] = &[
    state("premiged", "setting"),
    state("waiting", "setting"),
    state("premigready", "setting"),
    state("clearing", "cutovered"),
];

/// The plans that others have for one source.
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

/// Draws the state to which a source is moved that waits for the end of a pause.
pub(crate) fn elsewhere(dice: &mut Dice) -> State {
    dice.one_of(ELSEWHERE)
}
