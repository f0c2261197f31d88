//! Charts of a run, as SVG. Each has a title, axes with units, and the same numbers as a table.

use std::io;

use plotters::coord::Shift;
use plotters::coord::types::RangedCoordf64;
use plotters::prelude::*;

use super::night::{RunClock, TimeSpan, Timeline, bands};
use crate::event::Event;
use crate::event::kind::EventKind;
use crate::event::lane::{LaneEvent, LaneId};
use crate::journal::read::activity::{Activity, Second};
use crate::wording::amounts::{count, duration};
use crate::wording::plain::{plain, shortened};
use crate::wording::times::time;

const WIDTH: u32 = 900;
const HEIGHT: u32 = 280;
const DAY: i64 = 24 * 60 * 60;
/// Most lines in the table of a quota; of more, the first and the last are kept.
const MOST_LEARNED: usize = 500;
/// Each of these colours differs enough from white, from black, and from the others in grey.
const BLUE: Colour = Colour(0x3b, 0x78, 0xc4);
const ORANGE: Colour = Colour(0xc7, 0x6a, 0x15);
const RED: Colour = Colour(0xd1, 0x43, 0x4b);
const PURPLE: Colour = Colour(0x8e, 0x5b, 0xb5);
const GREEN: Colour = Colour(0x2e, 0x8b, 0x57);
const GREY: Colour = Colour(0x7d, 0x7d, 0x7d);
const LINES: [Colour; 6] = [BLUE, ORANGE, GREEN, PURPLE, RED, GREY];
/// Most accounts in one chart: more lines could not be told apart.
const MOST_LINES: usize = LINES.len();
/// Smallest share of the chart's width at which a band is named.
const NAMED_FROM: f64 = 0.08;
/// Upper limits of the bars of the latency chart, in milliseconds.
const BARS_MS: [u64; 12] = [10, 20, 50, 100, 200, 500, 1_000, 2_000, 5_000, 10_000, 30_000, u64::MAX];

#[derive(Clone, Copy)]
struct Colour(u8, u8, u8);

impl Colour {
    fn paint(self) -> RGBColor {
        RGBColor(self.0, self.1, self.2)
    }

    fn hex(self) -> String {
        format!("#{:02x}{:02x}{:02x}", self.0, self.1, self.2)
    }
}

/// One chart with its legend and table.
pub(super) struct Figure {
    pub(super) id: &'static str,
    pub(super) title: &'static str,
    /// Description in a sentence, for screen readers and for those in a hurry.
    pub(super) alt: String,
    pub(super) svg: String,
    /// Legend: pairs of colour and meaning.
    pub(super) key: Vec<(String, String)>,
    pub(super) head: Vec<String>,
    pub(super) numbers: Vec<Vec<String>>,
}

type Canvas<'a> = DrawingArea<SVGBackend<'a>, Shift>;
type Chart<'a, 'b> = ChartContext<'a, SVGBackend<'b>, Cartesian2d<RangedCoordf64, RangedCoordf64>>;
type Failed = DrawingAreaErrorKind<io::Error>;

/// Draws every chart for which there is data.
pub(super) fn all(activity: &Activity, events: &[Event], lanes: &[(LaneId, String)]) -> io::Result<Vec<Figure>> {
    let clock = RunClock::from_events(events, activity);
    let mut figures = Vec::new();
    if !activity.seconds.is_empty() {
        figures.push(requests(&clock, activity, events)?);
    }
    if !activity.took_ms.is_empty() {
        figures.push(latency(activity)?);
    }
    figures.extend(quota(&clock, events, lanes)?);
    Ok(figures)
}

/// Draws a chart, and names its title and description to screen readers.
fn picture(id: &str, draw: impl FnOnce(&Canvas<'_>) -> Result<(), Failed>) -> io::Result<String> {
    let mut svg = String::new();
    {
        let area = SVGBackend::with_string(&mut svg, (WIDTH, HEIGHT)).into_drawing_area();
        draw(&area).and_then(|()| area.present()).map_err(|error| io::Error::other(error.to_string()))?;
    }
    Ok(svg.replacen("<svg ", &format!("<svg role=\"img\" aria-labelledby=\"{id}-title {id}-alt\" "), 1))
}

/// Draws axes with their units, and horizontal grid lines.
fn axes<'a, 'b>(
    area: &'a Canvas<'b>,
    (right, top): (f64, f64),
    (x_unit, y_unit): (&str, &str),
    labels: (usize, &dyn Fn(&f64) -> String),
) -> Result<Chart<'a, 'b>, Failed> {
    let mut chart = ChartBuilder::on(area)
        .margin(10)
        .margin_right(40)
        .x_label_area_size(44)
        .y_label_area_size(60)
        .build_cartesian_2d(0.0..right, 0.0..top)?;
    let grey = GREY.paint();
    chart
        .configure_mesh()
        .disable_x_mesh()
        .x_desc(x_unit)
        .y_desc(y_unit)
        .x_labels(labels.0)
        .y_labels(6)
        .x_label_formatter(labels.1)
        .y_label_formatter(&|y| number(*y))
        .label_style(("sans-serif", 14))
        .axis_desc_style(("sans-serif", 14))
        .axis_style(grey)
        .bold_line_style(grey.mix(0.35))
        .light_line_style(grey.mix(0.0))
        .draw()?;
    Ok(chart)
}

fn requests(clock: &RunClock, activity: &Activity, events: &[Event]) -> io::Result<Figure> {
    let id = "requests";
    let timeline = Timeline::new(clock, activity);
    let (stages, waits) = bands(clock, events);
    let step = real(timeline.step);
    let most = timeline.steps.iter().map(|step| (step.first + step.again).max(step.throttled + lost(step))).max();
    let top = (real(most.unwrap_or(0)) / step).max(1.0) * 1.25;
    let right = real(clock.total()).max(step);
    let svg = picture(id, |area| {
        let at = |place: &f64| time_label(clock, *place);
        let mut chart = axes(area, (right, top), ("time of day (UTC)", "changes per second"), (n_labels(clock), &at))?;
        let shade = |wait: &TimeSpan| {
            Rectangle::new([(real(wait.from), 0.0), (real(wait.to), top)], GREY.paint().mix(0.2).filled())
        };
        chart.draw_series(waits.iter().map(shade))?;
        for (lower, upper, colour) in [(0, 1, BLUE), (1, 2, ORANGE)] {
            chart.draw_series(timeline.steps.iter().enumerate().map(|(i, happened)| {
                let left = real(i) * step;
                // The last step may be shorter; its rate is computed over its actual length.
                let width = step.min(right - left).max(1.0);
                let heights = [0, happened.first, happened.first + happened.again].map(|n| real(n) / width);
                let corners = [(left, heights[lower]), ((left + step).min(right), heights[upper])];
                Rectangle::new(corners, colour.paint().filled())
            }))?;
        }
        for (n_of, colour) in [(throttled as fn(&_) -> u64, RED), (lost, PURPLE)] {
            let some = timeline.steps.iter().enumerate().filter(|(_, happened)| n_of(happened) > 0);
            chart.draw_series(some.map(|(i, happened)| {
                let (from, height) = (real(i) * step, real(n_of(happened)) / step);
                PathElement::new([(from, height), ((from + step).min(right), height)], colour.paint().stroke_width(4))
            }))?;
        }
        seams(&mut chart, clock, top)?;
        names(&mut chart, &stages, right, top)
    })?;
    let mut key = vec![(BLUE.hex(), "sent for the first time".to_owned()), (ORANGE.hex(), "sent again".to_owned())];
    key.push((RED.hex(), "throttled, reads too".to_owned()));
    key.push((PURPLE.hex(), "answer lost, or not sent".to_owned()));
    if !waits.is_empty() {
        key.push((GREY.hex(), "the run waits".to_owned()));
    }
    let sum = timeline.steps.iter().fold(Second::default(), |mut sum, step| {
        sum.add(*step);
        sum
    });
    let alt = format!(
        "{} sent in {}, {} of them again; {} throttled, {} without a usable answer{}. Each step is {} s.",
        count(sum.first + sum.again, "change"),
        duration(u64::try_from(clock.total()).unwrap_or(0) * 1000),
        sum.again,
        sum.throttled,
        sum.lost,
        if sum.unsent > 0 { format!(", {} begun and not sent", sum.unsent) } else { String::new() },
        timeline.step
    );
    let head = ["from (UTC)", "sent first", "sent again", "throttled", "answer lost", "not sent"];
    let numbers = timeline.steps.iter().enumerate().map(|(i, step)| {
        let from = clock.time_of(i64::try_from(i).unwrap_or(0) * timeline.step).map(time).unwrap_or_default();
        let counts = [step.first, step.again, step.throttled, step.lost, step.unsent];
        std::iter::once(from).chain(counts.map(|n| n.to_string())).collect()
    });
    Ok(Figure {
        id,
        title: "Changes over time",
        alt,
        svg,
        key,
        head: head.map(str::to_owned).to_vec(),
        numbers: numbers.collect(),
    })
}

fn throttled(step: &Second) -> u64 {
    step.throttled
}

fn lost(step: &Second) -> u64 {
    step.lost + step.unsent
}

/// Draws a line where one launch ends and the next begins.
fn seams(chart: &mut Chart<'_, '_>, clock: &RunClock, top: f64) -> Result<(), Failed> {
    for seam in clock.seams() {
        let line = [(real(seam), 0.0), (real(seam), top)];
        chart.draw_series(DashedLineSeries::new(line, 4, 4, GREY.paint().into()))?;
    }
    Ok(())
}

/// Draws a strip along the top that shows when each wave was carried out.
fn names(chart: &mut Chart<'_, '_>, stages: &[TimeSpan], right: f64, top: f64) -> Result<(), Failed> {
    for stage in stages {
        let (from, to) = (real(stage.from), real(stage.to).max(real(stage.from) + right / 400.0));
        let strip = Rectangle::new([(from, top * 0.985), (to, top)], GREEN.paint().filled());
        chart.draw_series(std::iter::once(strip))?;
        let share = (to - from) / right;
        if share >= NAMED_FROM {
            #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a share of a picture's width")]
            let n_letters = (share * f64::from(WIDTH) / 8.0) as usize;
            let label = shortened(&plain(&stage.label), n_letters.max(4));
            let text = Text::new(label, (from, top * 0.975), ("sans-serif", 13).into_font());
            chart.draw_series(std::iter::once(text))?;
        }
    }
    Ok(())
}

fn latency(activity: &Activity) -> io::Result<Figure> {
    let id = "latency";
    let mut bars = [0_u64; BARS_MS.len()];
    for (took_ms, n) in &activity.took_ms {
        let bar = BARS_MS.iter().position(|up_to| took_ms <= up_to).expect("the last takes all");
        bars[bar] += n;
    }
    let n_shown = bars.iter().rposition(|n| *n > 0).map_or(1, |last| last + 1);
    let top = real(bars.iter().max().copied().unwrap_or(1).max(1)) * 1.1;
    let up_to = |bar: usize| match BARS_MS.get(bar) {
        Some(&u64::MAX) | None => "more".to_owned(),
        Some(ms) if *ms < 1000 => format!("{ms} ms"),
        Some(ms) => format!("{} s", ms / 1000),
    };
    let svg = picture(id, |area| {
        let units = ("answered within (the bar's own limit)", "answers");
        // The label at the right edge of a bar is that bar's limit.
        let limit = |x: &f64| {
            #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "few bars")]
            let bar = x.round() as usize;
            bar.checked_sub(1).map_or_else(|| "0".to_owned(), &up_to)
        };
        let mut chart = axes(area, (real(n_shown), top), units, (n_shown + 1, &limit))?;
        chart.draw_series(bars.iter().take(n_shown).enumerate().map(|(i, n)| {
            let corners = [(real(i) + 0.08, 0.0), (real(i) + 0.92, real(*n))];
            Rectangle::new(corners, BLUE.paint().filled())
        }))?;
        Ok(())
    })?;
    let within = |share| activity.took_within(share).map(duration).unwrap_or_default();
    let alt = format!(
        "{}: half of them within {}, 95 % within {}, 99 % within {}, the slowest in {}.",
        count(bars.iter().sum(), "answer"),
        within(0.5),
        within(0.95),
        within(0.99),
        within(1.0)
    );
    let numbers = (0..n_shown).map(|bar| vec![up_to(bar), bars[bar].to_string()]).collect();
    let (title, head) = ("How long answers took", vec!["within".to_owned(), "answers".to_owned()]);
    Ok(Figure { id, title, alt, svg, key: Vec::new(), head, numbers })
}

/// Draws the quota that each account's service was found to grant, over time; `None` where nothing was learned.
fn quota(clock: &RunClock, events: &[Event], lanes: &[(LaneId, String)]) -> io::Result<Option<Figure>> {
    let id = "quota";
    let learned = |lane: LaneId| {
        events.iter().filter(move |event| event.lane == lane).filter_map(|event| {
            let EventKind::Lane(LaneEvent::QuotaLearned { per_second, stated }) = event.kind else { return None };
            Some((event.at, per_second, stated))
        })
    };
    let with_some: Vec<_> = lanes.iter().filter(|(lane, _)| learned(*lane).next().is_some()).collect();
    if with_some.is_empty() {
        return Ok(None);
    }
    let shown = &with_some[..with_some.len().min(MOST_LINES)];
    let right = real(clock.total());
    let most = shown.iter().flat_map(|(lane, _)| learned(*lane)).map(|(_, per_second, _)| per_second);
    let top = most.fold(0.1, f64::max) * 1.15;
    let svg = picture(id, |area| {
        let at = |place: &f64| time_label(clock, *place);
        let mut chart = axes(area, (right, top), ("time of day (UTC)", "requests per second"), (n_labels(clock), &at))?;
        for ((lane, _), colour) in shown.iter().zip(LINES) {
            let mut line = Vec::new();
            for (at, per_second, _) in learned(*lane) {
                let place = real(clock.place(at.as_second()));
                if let Some((_, before)) = line.last().copied() {
                    line.push((place, before));
                }
                line.push((place, per_second));
            }
            if let Some((_, last)) = line.last().copied() {
                line.push((right, last));
            }
            chart.draw_series(LineSeries::new(line, colour.paint().stroke_width(2)))?;
        }
        seams(&mut chart, clock, top)
    })?;
    let key = shown.iter().zip(LINES).map(|((_, name), colour)| (colour.hex(), plain(name))).collect();
    let last = with_some.iter().filter_map(|(lane, name)| {
        let (_, per_second, stated) = learned(*lane).next_back()?;
        let origin = if stated { "stated by the service" } else { "found by trying" };
        Some(format!("{per_second:.2} requests a second for {}, {origin}", plain(name)))
    });
    let n_left_out = with_some.len() - shown.len();
    let left_out = if n_left_out == 0 { String::new() } else { format!(" ({n_left_out} more are not drawn)") };
    let alt = format!("Found last: {}{left_out}.", last.take(MOST_LINES).collect::<Vec<_>>().join("; "));
    let numbers = with_some.iter().flat_map(|(lane, name)| {
        learned(*lane).map(|(at, per_second, stated)| {
            let origin = if stated { "stated" } else { "found by trying" };
            vec![time(at), plain(name), format!("{per_second:.2}"), origin.to_owned()]
        })
    });
    let head = ["at (UTC)", "account", "requests per second", "origin"].map(str::to_owned).to_vec();
    let mut numbers: Vec<Vec<String>> = numbers.collect();
    if numbers.len() > MOST_LEARNED {
        numbers.drain(MOST_LEARNED / 2..numbers.len() - MOST_LEARNED / 2);
    }
    Ok(Some(Figure { id, title: "The quota, as it was learned", alt, svg, key, head, numbers }))
}

/// Number of labels on the time axis: at most one for each second.
fn n_labels(clock: &RunClock) -> usize {
    usize::try_from(clock.total()).map_or(8, |total| total.min(8)) + 1
}

fn time_label(clock: &RunClock, place: f64) -> String {
    #[expect(clippy::cast_possible_truncation, reason = "seconds of a run")]
    let place = place.round() as i64;
    let format = if clock.total() > DAY { "%m-%d %H:%M" } else { "%H:%M:%S" };
    clock.time_of(place).map_or_else(String::new, |at| at.strftime(format).to_string())
}

/// Writes a number with at most two decimals, without trailing zeros.
fn number(n: f64) -> String {
    let text = format!("{n:.2}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

/// Converts counts and seconds to coordinates; precision is lost beyond 2^53, where no one sees it.
#[expect(clippy::cast_precision_loss, reason = "a place in a picture")]
fn real(n: impl TryInto<i64>) -> f64 {
    n.try_into().unwrap_or(i64::MAX) as f64
}
