//! Stored form of events: name and row are columns of their own, and the fields are one JSON object.
//!
//! Events of rows, of which a run has millions, are deserialized straight into their fields. By way of a map, as serde reads
//! internally tagged enums, `audit verify` takes 5 % more instructions (benches/README.md, "Instructions").

use serde::de::value::StrDeserializer;
use serde::de::{self, DeserializeSeed, EnumAccess, IgnoredAny, IntoDeserializer as _, VariantAccess, Visitor};
use serde::ser::{Error as _, Impossible, SerializeMap, SerializeStructVariant};
use serde::{Deserialize, Deserializer, Serialize, Serializer, forward_to_deserialize_any};
use serde_json::{Map, Value};

use super::kind::EventKind;
use super::lane::LaneEvent;
use super::row::RowEvent;
use super::run::RunEvent;
use crate::model::RowId;

/// Event split into its columns.
pub(crate) struct Stored<'a> {
    pub(crate) kind: &'a str,
    pub(crate) row: Option<u32>,
    pub(crate) detail: &'a str,
}

const NAMES: [&[&str]; 3] = [&RunEvent::NAMES, &LaneEvent::NAMES, &RowEvent::NAMES];

/// Tells whether this version has events of that name. Minor versions may add names without a new schema.
pub(crate) fn is_known(kind: &str) -> bool {
    NAMES.iter().any(|names| names.contains(&kind))
}

/// Returns the stored form of an event, written into a buffer that can be used again.
pub(crate) fn stored_form<'a>(event: &EventKind, text: &'a mut String) -> Stored<'a> {
    let mut bytes = std::mem::take(text).into_bytes();
    bytes.clear();
    match event {
        EventKind::Row(_, event) => serde_json::to_writer(&mut bytes, event),
        EventKind::Lane(event) => serde_json::to_writer(&mut bytes, event),
        EventKind::Run(event) => serde_json::to_writer(&mut bytes, event),
    }
    .expect("an event is plain data");
    *text = String::from_utf8(bytes).expect("JSON is UTF-8");
    // `{"name":{…}}`, or `"name"` where there are no fields. Cut as text: a `Value` in between would sort the fields by name, and
    // their order is part of the stored form.
    let (kind, detail) = match text.strip_prefix("{\"").and_then(|text| text.strip_suffix('}')) {
        Some(text) => text.split_once('"').map(|(kind, detail)| (kind, &detail[1..])).expect("a name is a string"),
        None => (text.trim_matches('"'), "{}"),
    };
    Stored { kind, row: event.row().map(|row| row.0), detail }
}

/// Parses an event from its stored form.
pub(crate) fn from_stored_form(kind: &str, row: Option<u32>, detail: &str) -> Result<EventKind, serde_json::Error> {
    // Fast path: most events are of rows, and spelled as they were written.
    if let Some(row) = row
        && let Some(event) = read_at_once(kind, detail)
    {
        return Ok(EventKind::Row(RowId(row), event));
    }
    // Anything unusual, such as a field that occurs twice, is read by way of a map.
    let fields: Map<String, Value> = serde_json::from_str(detail)?;
    let named = NamedVariant { kind, fields: Value::Object(fields) };
    if RowEvent::NAMES.contains(&kind) {
        let row = row.ok_or_else(|| de::Error::missing_field("row"))?;
        Ok(EventKind::Row(RowId(row), RowEvent::deserialize(named)?))
    } else if LaneEvent::NAMES.contains(&kind) {
        Ok(EventKind::Lane(LaneEvent::deserialize(named)?))
    } else if RunEvent::NAMES.contains(&kind) {
        Ok(EventKind::Run(RunEvent::deserialize(named)?))
    } else {
        let known = NAMES.concat().join("`, `");
        Err(de::Error::custom(format_args!("unknown variant `{kind}`, expected one of `{known}`")))
    }
}

fn read_at_once(kind: &str, detail: &str) -> Option<RowEvent> {
    // serde would read a JSON array as fields in order.
    if !detail.starts_with('{') {
        return None;
    }
    let mut fields = serde_json::Deserializer::from_str(detail);
    let event = RowEvent::deserialize(NamedVariant { kind, fields: &mut fields }).ok()?;
    fields.end().ok()?;
    Some(event)
}

/// Deserializer of an enum whose variant is known by name before its fields are read.
struct NamedVariant<'a, D> {
    kind: &'a str,
    fields: D,
}

impl<'de, D: Deserializer<'de>> Deserializer<'de> for NamedVariant<'_, D> {
    type Error = D::Error;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, D::Error> {
        visitor.visit_enum(self)
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf option unit unit_struct
        newtype_struct seq tuple tuple_struct map struct enum identifier ignored_any
    }
}

impl<'de, D: Deserializer<'de>> EnumAccess<'de> for NamedVariant<'_, D> {
    type Error = D::Error;
    type Variant = VariantFields<D>;

    fn variant_seed<V: DeserializeSeed<'de>>(self, seed: V) -> Result<(V::Value, VariantFields<D>), D::Error> {
        let kind: StrDeserializer<'_, D::Error> = self.kind.into_deserializer();
        Ok((seed.deserialize(kind)?, VariantFields(self.fields)))
    }
}

/// Fields of one variant.
struct VariantFields<D>(D);

impl<'de, D: Deserializer<'de>> VariantAccess<'de> for VariantFields<D> {
    type Error = D::Error;

    fn unit_variant(self) -> Result<(), D::Error> {
        IgnoredAny::deserialize(self.0).map(|IgnoredAny| ())
    }

    fn newtype_variant_seed<T: DeserializeSeed<'de>>(self, seed: T) -> Result<T::Value, D::Error> {
        seed.deserialize(self.0)
    }

    fn tuple_variant<V: Visitor<'de>>(self, n_fields: usize, visitor: V) -> Result<V::Value, D::Error> {
        self.0.deserialize_tuple(n_fields, visitor)
    }

    fn struct_variant<V: Visitor<'de>>(self, names: &'static [&'static str], visitor: V) -> Result<V::Value, D::Error> {
        self.0.deserialize_struct("", names, visitor)
    }
}

/// Serializes an event for documents: its name, its row, and its fields beside them.
impl Serialize for EventKind {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut document = serializer.serialize_map(None)?;
        let row = self.row();
        let beside = Beside { document: &mut document, row };
        match self {
            EventKind::Row(_, event) => event.serialize(beside),
            EventKind::Lane(event) => event.serialize(beside),
            EventKind::Run(event) => event.serialize(beside),
        }?;
        document.end()
    }
}

/// Serializer that writes a variant's name and fields as entries of an enclosing document.
struct Beside<'a, M> {
    document: &'a mut M,
    row: Option<RowId>,
}

impl<M: SerializeMap> Beside<'_, M> {
    fn begin(&mut self, kind: &'static str) -> Result<(), M::Error> {
        self.document.serialize_entry("kind", kind)?;
        self.row.map_or(Ok(()), |row| self.document.serialize_entry("row", &row))
    }
}

impl<M: SerializeMap> SerializeStructVariant for Beside<'_, M> {
    type Ok = ();
    type Error = M::Error;

    fn serialize_field<T: ?Sized + Serialize>(&mut self, name: &'static str, value: &T) -> Result<(), M::Error> {
        self.document.serialize_entry(name, value)
    }

    fn end(self) -> Result<(), M::Error> {
        Ok(())
    }
}

/// Implements the methods of a serializer that no event calls: each of them fails.
macro_rules! are_no_events {
    ($($method:ident$(<$T:ident>)?($($of:ty),*) -> $Gives:ty;)*) => {$(
        fn $method$(<$T: ?Sized + Serialize>)?(self, $(_: $of),*) -> Result<$Gives, M::Error> {
            Err(M::Error::custom("an event is a variant with named fields, or without any"))
        }
    )*};
}

impl<M: SerializeMap> Serializer for Beside<'_, M> {
    type Ok = ();
    type Error = M::Error;
    type SerializeSeq = Impossible<(), M::Error>;
    type SerializeTuple = Impossible<(), M::Error>;
    type SerializeTupleStruct = Impossible<(), M::Error>;
    type SerializeTupleVariant = Impossible<(), M::Error>;
    type SerializeMap = Impossible<(), M::Error>;
    type SerializeStruct = Impossible<(), M::Error>;
    type SerializeStructVariant = Self;

    fn serialize_struct_variant(
        mut self,
        _: &'static str,
        _: u32,
        kind: &'static str,
        _: usize,
    ) -> Result<Self, M::Error> {
        self.begin(kind)?;
        Ok(self)
    }

    fn serialize_unit_variant(mut self, _: &'static str, _: u32, kind: &'static str) -> Result<(), M::Error> {
        self.begin(kind)
    }

    are_no_events! {
        serialize_bool(bool) -> ();
        serialize_i8(i8) -> ();
        serialize_i16(i16) -> ();
        serialize_i32(i32) -> ();
        serialize_i64(i64) -> ();
        serialize_u8(u8) -> ();
        serialize_u16(u16) -> ();
        serialize_u32(u32) -> ();
        serialize_u64(u64) -> ();
        serialize_f32(f32) -> ();
        serialize_f64(f64) -> ();
        serialize_char(char) -> ();
        serialize_str(&str) -> ();
        serialize_bytes(&[u8]) -> ();
        serialize_none() -> ();
        serialize_some<T>(&T) -> ();
        serialize_unit() -> ();
        serialize_unit_struct(&'static str) -> ();
        serialize_newtype_struct<T>(&'static str, &T) -> ();
        serialize_newtype_variant<T>(&'static str, u32, &'static str, &T) -> ();
        serialize_seq(Option<usize>) -> Self::SerializeSeq;
        serialize_tuple(usize) -> Self::SerializeTuple;
        serialize_tuple_struct(&'static str, usize) -> Self::SerializeTupleStruct;
        serialize_tuple_variant(&'static str, u32, &'static str, usize) -> Self::SerializeTupleVariant;
        serialize_map(Option<usize>) -> Self::SerializeMap;
        serialize_struct(&'static str, usize) -> Self::SerializeStruct;
    }
}

#[cfg(test)]
mod tests {
    use serde::de::DeserializeOwned;

    use super::*;
    use crate::event::outcome::Outcome;
    use crate::event::verdict::{Ground, Verdict};
    use crate::model::state::{SeenState, TargetState};
    use crate::model::words::Word;

    const ROW: RowId = RowId(7);

    fn state() -> SeenState {
        SeenState { copystate: Some(Word::new("stopped")), migrationcycle: None }
    }

    #[test]
    fn each_kind_of_event_is_among_the_names() {
        fn are_all<T: DeserializeOwned>(names: &[&str]) {
            let unknown = serde_json::from_value::<T>(serde_json::json!({"?": {}})).err().unwrap().to_string();
            let known: Vec<&str> = unknown.split('`').skip(3).step_by(2).collect();
            assert_eq!(known, names, "{unknown}");
        }
        are_all::<RowEvent>(&RowEvent::NAMES);
        are_all::<LaneEvent>(&LaneEvent::NAMES);
        are_all::<RunEvent>(&RunEvent::NAMES);
        let unknown = from_stored_form("?", None, "{}").unwrap_err().to_string();
        let known: Vec<&str> = unknown.split('`').skip(3).step_by(2).collect();
        assert_eq!(known, NAMES.concat(), "{unknown}");
        assert!(known.iter().all(|name| is_known(name)) && !is_known("?"));
    }

    #[test]
    fn what_was_written_is_read_back_without_a_map() {
        let sends =
            TargetState { copystate: Some(Word::new("stopped")), migrationcycle: Some(Word::new("new_\"word")) };
        let refused = Outcome::Rejected { status: 400, code: Some("SMS.1".to_owned()), message: "no\n☃".to_owned() };
        let events = [
            RowEvent::Seen { seen: Some(state()) },
            RowEvent::Seen { seen: None },
            RowEvent::AttemptStarted { attempt: 3, sends },
            RowEvent::AttemptEnded { attempt: 1, outcome: refused, request_id: None, took_ms: 9, via: None },
            RowEvent::AttemptEnded {
                attempt: 1,
                outcome: Outcome::Accepted { status: 200 },
                request_id: Some("r".to_owned()),
                took_ms: u64::MAX,
                via: None,
            },
            RowEvent::Settled { verdict: Verdict::Applied, seen: Some(state()), reason: None, ground: None },
            RowEvent::Settled {
                verdict: Verdict::Blocked,
                seen: None,
                reason: Some("policy".to_owned()),
                ground: Some(Ground::Skipped),
            },
            RowEvent::Settled {
                verdict: Verdict::Unverified,
                seen: None,
                reason: None,
                ground: Some(Ground::NotVerified),
            },
        ];
        for event in events {
            let mut text = String::new();
            let kind = event.clone().about(ROW);
            let Stored { kind: name, row: _, detail } = stored_form(&kind, &mut text);
            assert_eq!(read_at_once(name, detail), Some(event));
        }
    }

    #[test]
    fn what_was_not_written_so_is_read_as_a_map_reads_it() {
        let seen = "{\"seen\":{\"copystate\":\"stopped\"}}";
        let settled = "{\"verdict\":\"applied\",\"verdict\":\"failed\"}";
        assert_eq!(read_at_once("row_settled", settled), None);
        let last = RowEvent::Settled { verdict: Verdict::Failed, seen: None, reason: None, ground: None };
        assert_eq!(from_stored_form("row_settled", Some(7), settled).unwrap(), last.about(ROW));
        // The columns decide row and kind, whatever the fields say.
        let elsewhere = seen.replace("{\"s", "{\"row\":8,\"kind\":\"row_left\",\"s");
        let expected = RowEvent::Seen { seen: Some(state()) }.about(ROW);
        assert_eq!(from_stored_form("row_seen", Some(7), &elsewhere).unwrap(), expected);
        for bad in ["[null]", "{\"seen\":7}", "{\"seen\":null}}", "7"] {
            assert!(from_stored_form("row_seen", Some(7), bad).is_err(), "{bad}");
        }
        assert!(from_stored_form("row_seen", None, seen).is_err());
    }
}
