//! The wire form of a commit, as functions of data: headers that say whose it is, and a body in lines.
//!
//! A body has a line for each lane that is touched, with its head before and after, and then a line for each event in the order of the
//! commit, with the texts exactly as they are hashed. The hash of an event is not sent: whoever reads a body computes all of them, from
//! the head before to the head after. A body without lines is a sign of life.

use std::collections::BTreeMap;
use std::fmt::{self, Write as _};
use std::str::FromStr;

use async_nats::HeaderMap;

use crate::event::lane::LaneId;
use crate::event::stored::is_known;
use crate::journal::LogError;
use crate::journal::chain::{Hash, Link, hex};
use crate::journal::stamped::{LaneHead, Stamped};
use crate::journal::stored::StoredEvent;

/// Largest body of a commit in bytes; half of what a server takes at once unless it is told otherwise.
pub(super) const LARGEST: usize = 512 << 10;

const FORMAT: u32 = 1;
const FORMAT_HEADER: &str = "Cutover-Format";
const WRITER_HEADER: &str = "Cutover-Writer";
const NUMBER_HEADER: &str = "Cutover-Commit";
/// Header that the server refuses a message by; it is kept with the message, and so chains the commits.
pub(super) const AFTER_HEADER: &str = "Nats-Expected-Last-Subject-Sequence";

/// Writer of commits: a launch of the run, in one process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct WriterId {
    launch: u32,
    die: u128,
}

impl WriterId {
    /// Makes the id of a launch, which no other process has: two that believe to be the same launch are told apart.
    pub(super) fn of_launch(launch: u32) -> Self {
        Self { launch, die: rand::random() }
    }
}

impl fmt::Display for WriterId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{:032x}", self.launch, self.die)
    }
}

impl FromStr for WriterId {
    type Err = Unread;

    fn from_str(text: &str) -> Result<Self, Unread> {
        let read = || {
            let (launch, die) = text.split_once('-')?;
            Some(Self { launch: launch.parse().ok()?, die: u128::from_str_radix(die, 16).ok()? })
        };
        read().filter(|id: &Self| id.to_string() == text).ok_or(Unread::Header { name: WRITER_HEADER })
    }
}

/// Headers of a commit: they tell it from every other one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct CommitMark {
    pub(super) writer: WriterId,
    /// Number among the commits of its writer, counted from 1.
    pub(super) number: u64,
    /// Number that the log gave to the commit before it; 0 for none.
    pub(super) after: u64,
}

impl CommitMark {
    pub(super) fn to_headers(self) -> HeaderMap {
        let mut headers = HeaderMap::new();
        headers.insert(FORMAT_HEADER, FORMAT.to_string());
        headers.insert(WRITER_HEADER, self.writer.to_string());
        headers.insert(NUMBER_HEADER, self.number.to_string());
        headers.insert(AFTER_HEADER, self.after.to_string());
        headers
    }

    pub(super) fn from_headers(headers: &HeaderMap) -> Result<Self, Unread> {
        match number(headers, FORMAT_HEADER)? {
            1 => Ok(Self {
                writer: text(headers, WRITER_HEADER)?.parse()?,
                number: number(headers, NUMBER_HEADER)?,
                after: number(headers, AFTER_HEADER)?,
            }),
            0 => Err(Unread::Header { name: FORMAT_HEADER }),
            newer => Err(Unread::Newer { format: newer }),
        }
    }
}

fn text<'h>(headers: &'h HeaderMap, name: &'static str) -> Result<&'h str, Unread> {
    headers.get(name).map(async_nats::HeaderValue::as_str).ok_or(Unread::Header { name })
}

fn number(headers: &HeaderMap, name: &'static str) -> Result<u64, Unread> {
    canonical(text(headers, name)?).ok_or(Unread::Header { name })
}

/// Parses a number that is spelled as this program writes it.
fn canonical<N: FromStr + ToString>(text: &str) -> Option<N> {
    text.parse().ok().filter(|number: &N| number.to_string() == text)
}

/// Reason for which a commit cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Unread {
    #[error("it was written by a newer cutover (format {format}, this program knows {FORMAT})")]
    Newer { format: u64 },
    #[error("event {seq} of lane {lane} is of a kind that this program does not know: {kind:?}")]
    UnknownKind { lane: LaneId, seq: u64, kind: String },
    #[error("no cutover wrote it: its header `{name}` is missing, or is none of ours")]
    Header { name: &'static str },
    /// Lines are counted from 1.
    #[error("its line {nth} is none of ours")]
    Line { nth: usize },
    #[error("event {seq} of lane {lane} cannot be read: {why}")]
    Event { lane: LaneId, seq: u64, why: String },
    #[error("event {seq} of lane {lane} does not follow event {last}")]
    NotNext { lane: LaneId, seq: u64, last: u64 },
    #[error("events {first} to {last} of lane {lane} have other hashes than their texts")]
    OtherHash { lane: LaneId, first: u64, last: u64 },
}

/// Writes a batch as bodies of commits, each as large as may be. It is cut between events, so that any beginning of the bodies is a
/// history that can have happened. A batch without events is one empty body.
pub(super) fn bodies(batch: &Stamped, limit: usize) -> Result<Vec<String>, LogError> {
    let (mut bodies, mut body) = (Vec::new(), CommitBody::default());
    for event in batch.iter() {
        let line = event_line(&event);
        if body.len_with(&event, &line) > limit {
            bodies.extend(body.finish());
            body = CommitBody::default();
        }
        let bytes = body.len_with(&event, &line);
        if bytes > limit {
            return Err(LogError::TooLarge { lane: event.lane, seq: event.seq, bytes, limit });
        }
        body.put(&event, &line);
    }
    bodies.extend(body.finish().or_else(|| bodies.is_empty().then(String::new)));
    Ok(bodies)
}

/// Body of a commit that is being written.
#[derive(Default)]
struct CommitBody {
    /// Heads of the lanes before and after it.
    lanes: BTreeMap<LaneId, (LaneHead, LaneHead)>,
    events: String,
}

impl CommitBody {
    fn put(&mut self, event: &StoredEvent<'_>, line: &str) {
        let after = (event.seq, event.hash);
        let (_, head) = self.lanes.entry(event.lane).or_insert(((event.seq - 1, event.prev), after));
        *head = after;
        self.events.push_str(line);
    }

    /// Returns its largest possible length with one more event.
    fn len_with(&self, event: &StoredEvent<'_>, line: &str) -> usize {
        /// Length of the line of a lane with the largest numbers.
        const OF_LANE: usize = "lane 4294967295 ".len() + 2 * "18446744073709551615 ".len() + 2 * 64 + " \n".len();
        let n_lanes = self.lanes.len() + usize::from(!self.lanes.contains_key(&event.lane));
        n_lanes * OF_LANE + self.events.len() + line.len()
    }

    /// Returns the text; `None` without events.
    fn finish(self) -> Option<String> {
        let mut text = String::new();
        for (lane, (before, after)) in &self.lanes {
            text.push_str(&lane_line(*lane, *before, *after));
        }
        (!text.is_empty()).then(|| text + &self.events)
    }
}

fn lane_line(lane: LaneId, before: LaneHead, after: LaneHead) -> String {
    format!("lane {lane} {} {} {} {}\n", before.0, hex(&before.1), after.0, hex(&after.1))
}

fn event_line(event: &StoredEvent<'_>) -> String {
    let StoredEvent { lane, seq, at_ms, kind, row, detail, prev: _, hash: _ } = event;
    let mut line = format!("event {lane} {seq} {at_ms} {kind} ");
    match row {
        Some(row) => write!(line, "{row} {detail}"),
        None => write!(line, "- {detail}"),
    }
    .expect("a text can be written to");
    // No kind has a blank in it, and no JSON a line break.
    line + "\n"
}

/// Reads a body. The events have the hashes that follow from their texts, and are chained from the head before to the head after.
pub(super) fn read_body(body: &[u8]) -> Result<Vec<StoredEvent<'_>>, Unread> {
    let body = std::str::from_utf8(body).map_err(|_| Unread::Line { nth: 1 })?;
    let mut lanes: BTreeMap<LaneId, ReadLane> = BTreeMap::new();
    let mut events = Vec::new();
    for (at, line) in body.split_inclusive('\n').enumerate() {
        let unread = || Unread::Line { nth: at + 1 };
        if line.starts_with("lane ") && events.is_empty() {
            let (lane, heads) = read_lane(line).ok_or_else(unread)?;
            if lanes.last_key_value().is_some_and(|(last, _)| *last >= lane) {
                return Err(unread());
            }
            lanes.insert(lane, heads);
        } else {
            let mut event = read_event(line).ok_or_else(unread)?;
            lanes.get_mut(&event.lane).ok_or_else(unread)?.chain(&mut event)?;
            events.push(event);
        }
    }
    for (lane, ReadLane { first, head, after }) in lanes {
        if head != after {
            return Err(Unread::OtherHash { lane, first, last: after.0 });
        }
    }
    Ok(events)
}

/// Lane of a body that is being read.
struct ReadLane {
    first: u64,
    /// Head behind the events that were read.
    head: LaneHead,
    /// Head behind the last event, as the body has it.
    after: LaneHead,
}

impl ReadLane {
    /// Chains an event to those before it, and checks that this program knows it.
    fn chain(&mut self, event: &mut StoredEvent<'_>) -> Result<(), Unread> {
        let &mut StoredEvent { lane, seq, at_ms, kind, row, detail, .. } = event;
        let (last, prev) = self.head;
        if last.checked_add(1) != Some(seq) {
            return Err(Unread::NotNext { lane, seq, last });
        }
        if !is_known(kind) {
            return Err(Unread::UnknownKind { lane, seq, kind: kind.to_owned() });
        }
        event.read().map_err(|error| Unread::Event { lane, seq, why: error.to_string() })?;
        event.prev = prev;
        event.hash = Link { prev: &prev, lane, seq, at_ms, kind, row, detail }.hash();
        self.head = (seq, event.hash);
        Ok(())
    }
}

fn read_lane(text: &str) -> Option<(LaneId, ReadLane)> {
    let mut words = text.strip_suffix('\n')?.strip_prefix("lane ")?.split(' ');
    let lane = LaneId(canonical(words.next()?)?);
    let mut head = || Some((canonical(words.next()?)?, hash(words.next()?)?));
    let (before, after): (LaneHead, LaneHead) = (head()?, head()?);
    let read = ReadLane { first: before.0.checked_add(1)?, head: before, after };
    (lane_line(lane, before, after) == text && before.0 < after.0).then_some((lane, read))
}

/// Reads the line of an event, without its hashes.
fn read_event(line: &str) -> Option<StoredEvent<'_>> {
    let mut words = line.strip_suffix('\n')?.strip_prefix("event ")?.splitn(6, ' ');
    let event = StoredEvent {
        lane: LaneId(canonical(words.next()?)?),
        seq: canonical(words.next()?)?,
        at_ms: canonical(words.next()?)?,
        kind: words.next()?,
        row: match words.next()? {
            "-" => None,
            row => Some(canonical(row)?),
        },
        detail: words.next()?,
        prev: Hash::default(),
        hash: Hash::default(),
    };
    Some(event)
}

fn hash(digits: &str) -> Option<Hash> {
    let mut hash = Hash::default();
    let (pairs, []) = digits.as_bytes().as_chunks::<2>() else { return None };
    if pairs.len() != hash.len() {
        return None;
    }
    for (byte, pair) in hash.iter_mut().zip(pairs) {
        *byte = u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok()?;
    }
    (hex(&hash) == digits).then_some(hash)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::journal::chain::genesis;
    use crate::journal::stamped::Stamped;
    use crate::log::memory::LogLine;
    use crate::log::suite::{begun, ended, seen, waited};

    fn stamped(n_rows: u32) -> Stamped {
        let events = [1, 2].into_iter().flat_map(|row| [seen(row), begun(row), ended(row)]);
        let mut heads: BTreeMap<LaneId, LaneHead> =
            [0, 1, 2].map(|lane| (LaneId(lane), (0, genesis("r", LaneId(lane))))).into();
        let mut stamped = Stamped::default();
        for mut event in events.chain((3..=n_rows).map(seen)).chain([waited()]) {
            let head = heads.get_mut(&event.lane).unwrap();
            stamped.put(&mut event, head);
        }
        stamped
    }

    fn lines<'e>(events: impl IntoIterator<Item = StoredEvent<'e>>) -> Vec<LogLine> {
        events.into_iter().map(|event| LogLine::new(&event)).collect()
    }

    #[test]
    fn a_body_is_text_in_lines_and_is_read_to_the_letter() {
        let batch = stamped(2);
        let bodies = bodies(&batch, LARGEST).unwrap();
        let [body] = &bodies[..] else { panic!("{bodies:?}") };
        let told: Vec<&str> = body.lines().collect();
        let before = |lane| hex(&genesis("r", LaneId(lane)));
        assert!(told[0].starts_with(&format!("lane 0 0 {} 1 ", before(0))), "{body}");
        assert!(told[2].starts_with(&format!("lane 2 0 {} 3 ", before(2))), "{body}");
        assert_eq!(told[3], "event 1 1 0 row_seen 1 {\"seen\":null}");
        assert_eq!(told[9], "event 0 1 0 wait_ended - {}");
        assert_eq!(lines(read_body(body.as_bytes()).unwrap()), lines(batch.iter()));
    }

    #[test]
    fn a_batch_without_events_is_an_empty_body() {
        assert_eq!(bodies(&Stamped::default(), LARGEST).unwrap(), [""]);
        assert!(read_body(b"").unwrap().is_empty());
    }

    #[test]
    fn a_large_batch_is_cut_between_events_and_no_part_is_larger_than_may_be() {
        let batch = stamped(40);
        for limit in [700, 1000, 2000] {
            let bodies = bodies(&batch, limit).unwrap();
            assert!(bodies.len() > 1 && bodies.iter().all(|body| body.len() <= limit), "{limit}");
            let parts = bodies.iter().flat_map(|body| read_body(body.as_bytes()).unwrap());
            assert_eq!(lines(parts), lines(batch.iter()), "{limit}");
        }
        let refused = bodies(&batch, 200).unwrap_err();
        assert!(matches!(refused, LogError::TooLarge { limit: 200, seq: 1, .. }), "{refused}");
    }

    #[test]
    fn a_body_that_is_not_as_it_was_written_is_refused() {
        let body = bodies(&stamped(2), LARGEST).unwrap().remove(0);
        let lane = LaneId(1);
        let other_hash = Unread::OtherHash { lane, first: 1, last: 3 };
        let without = |nth: usize| {
            let kept = body.split_inclusive('\n').enumerate().filter(|(at, _)| *at != nth);
            kept.map(|(_, line)| line).collect::<String>()
        };
        let at_line = |nth| Unread::Line { nth };
        for (changed, why) in [
            (
                body.replace("event 1 1 0 row_seen 1 {\"seen\":null}", "event 1 1 1 row_seen 1 {\"seen\":null}"),
                other_hash.clone(),
            ),
            (
                body.replace("event 1 1 0 row_seen 1 {\"seen\":null}", "event 1 1 0 row_seen 1 {\"seen\": null}"),
                other_hash.clone(),
            ),
            (body.replace("event 1 1 0 row_seen 1", "event 1 1 0 row_seen 3"), other_hash.clone()),
            // The last event of the lane is gone, another one, all of them.
            (without(5), other_hash.clone()),
            (without(3), Unread::NotNext { lane, seq: 2, last: 0 }),
            (without(9), Unread::OtherHash { lane: LaneId(0), first: 1, last: 1 }),
            // An event of a lane that has no line.
            (without(1), at_line(3)),
            (
                body.replace("event 1 1 0 row_seen 1", "event 1 2 0 row_seen 1"),
                Unread::NotNext { lane, seq: 2, last: 0 },
            ),
            (body.replace("event 1 1 0", "event 1 01 0"), at_line(4)),
            (body.replace("event 1 1 0", "event +1 1 0"), at_line(4)),
            (body.replace("event 1 1 0", "fact 1 1 0"), at_line(4)),
            (body.replace("lane 1 0", "lane 1 00"), at_line(2)),
            (body.replace("lane 2 0", "lane 1 0"), at_line(3)),
            (format!("{body}\n"), at_line(11)),
            (format!("{body}event 1 4 0 row_seen 1 {{}}"), at_line(11)),
            (body.to_uppercase(), at_line(1)),
            (
                body.replace("event 1 1 0 row_seen", "event 1 1 0 row_praised"),
                Unread::UnknownKind { lane, seq: 1, kind: "row_praised".to_owned() },
            ),
        ] {
            assert_eq!(read_body(changed.as_bytes()).map(lines).unwrap_err(), why, "{changed}");
        }
        let no_object = body.replace("event 1 1 0 row_seen 1 {\"seen\":null}", "event 1 1 0 row_seen 1 []");
        assert!(matches!(read_body(no_object.as_bytes()).map(drop), Err(Unread::Event { seq: 1, .. })));
        assert_eq!(read_body(&[0xff, b'\n']).map(drop), Err(at_line(1)));
        let unknown = Unread::UnknownKind { lane, seq: 1, kind: "row_praised".to_owned() };
        assert_eq!(
            unknown.to_string(),
            "event 1 of lane 1 is of a kind that this program does not know: \"row_praised\""
        );
    }

    #[test]
    fn a_field_that_this_version_does_not_know_is_kept() {
        let text = "event 1 1 0 row_seen 1 {\"seen\":null,\"by\":\"ear\"}\n";
        let event = read_event(text).unwrap();
        let link = Link {
            prev: &genesis("r", LaneId(1)),
            lane: LaneId(1),
            seq: 1,
            at_ms: 0,
            kind: "row_seen",
            row: Some(1),
            detail: event.detail,
        };
        let body = lane_line(LaneId(1), (0, *link.prev), (1, link.hash())) + text;
        let read = read_body(body.as_bytes()).unwrap();
        assert_eq!(event_line(&read[0]), text);
    }

    #[test]
    fn headers_are_read_as_they_were_written_and_no_others() {
        let mark = CommitMark { writer: WriterId { launch: 3, die: 0xa1 }, number: 7, after: 12 };
        assert_eq!(CommitMark::from_headers(&mark.to_headers()), Ok(mark));
        let header = |name| Unread::Header { name };
        for (name, text, why) in [
            ("Cutover-Format", "2", Unread::Newer { format: 2 }),
            ("Cutover-Format", "0", header("Cutover-Format")),
            ("Cutover-Format", "one", header("Cutover-Format")),
            ("Cutover-Writer", "3-a1", header("Cutover-Writer")),
            ("Cutover-Writer", "000000000000000000000000000000a1", header("Cutover-Writer")),
            ("Cutover-Commit", "+7", header("Cutover-Commit")),
            ("Nats-Expected-Last-Subject-Sequence", "-1", header("Nats-Expected-Last-Subject-Sequence")),
        ] {
            let mut headers = mark.to_headers();
            headers.insert(name, text);
            assert_eq!(CommitMark::from_headers(&headers), Err(why), "{name}: {text}");
        }
        assert_eq!(CommitMark::from_headers(&HeaderMap::new()), Err(header("Cutover-Format")));
        let newer = Unread::Newer { format: 2 };
        assert_eq!(newer.to_string(), "it was written by a newer cutover (format 2, this program knows 1)");
    }
}
