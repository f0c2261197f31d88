//! Documents that are held against the schemas we ship.

use std::path::Path;

use serde_json::Value;

/// Checks a document against a shipped schema. Stricter than the schema on one point: a field that is not described
/// fails, although readers are told to expect new ones.
pub(crate) fn conforms(schema: &str, document: &Value) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/schemas").join(schema);
    let schema: Value = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
    let mut faults = Vec::new();
    Checker { root: &schema }.check(&schema, document, "$", &mut faults);
    assert!(faults.is_empty(), "{faults:#?}");
}

/// The part of JSON Schema (2020-12) that the shipped schemas use; any other keyword is a mistake in the test.
struct Checker<'a> {
    root: &'a Value,
}

impl Checker<'_> {
    fn check(&self, schema: &Value, value: &Value, at: &str, faults: &mut Vec<String>) {
        for (keyword, argument) in schema.as_object().expect("a schema is an object") {
            let fine = match keyword.as_str() {
                "$schema" | "$id" | "$defs" | "title" | "description" | "format" => true,
                "$ref" => {
                    let pointer = argument.as_str().unwrap().strip_prefix('#').expect("a reference within the file");
                    self.check(self.root.pointer(pointer).expect("it points somewhere"), value, at, faults);
                    true
                }
                "type" => match argument {
                    Value::Array(types) => types.iter().any(|name| is_of_type(value, name)),
                    name => is_of_type(value, name),
                },
                "const" => argument == value,
                "enum" => argument.as_array().unwrap().contains(value),
                "minimum" => value.as_f64().is_none_or(|number| number >= argument.as_f64().unwrap()),
                "required" => value.as_object().is_none_or(|map| {
                    argument.as_array().unwrap().iter().all(|name| map.contains_key(name.as_str().unwrap()))
                }),
                "properties" => {
                    for (name, value) in value.as_object().into_iter().flatten() {
                        match (argument.get(name), schema.get("additionalProperties")) {
                            (Some(schema), _) => self.check(schema, value, &format!("{at}.{name}"), faults),
                            (None, Some(_)) => (),
                            (None, None) => faults.push(format!("{at}.{name} is not described")),
                        }
                    }
                    true
                }
                "additionalProperties" => {
                    let described = |name: &str| schema.get("properties").is_some_and(|all| all.get(name).is_some());
                    for (name, value) in value.as_object().into_iter().flatten().filter(|(name, _)| !described(name)) {
                        match argument {
                            Value::Bool(false) => faults.push(format!("{at}.{name} is not allowed")),
                            argument => self.check(argument, value, &format!("{at}.{name}"), faults),
                        }
                    }
                    true
                }
                "items" => {
                    for (i, value) in value.as_array().into_iter().flatten().enumerate() {
                        self.check(argument, value, &format!("{at}[{i}]"), faults);
                    }
                    true
                }
                other => panic!("the check does not know `{other}`"),
            };
            if !fine {
                faults.push(format!("{at}: {keyword} {argument}, found {value}"));
            }
        }
    }
}

fn is_of_type(value: &Value, name: &Value) -> bool {
    match name.as_str().unwrap() {
        "null" => value.is_null(),
        "boolean" => value.is_boolean(),
        "integer" => value.is_i64() || value.is_u64(),
        "number" => value.is_number(),
        "string" => value.is_string(),
        "array" => value.is_array(),
        "object" => value.is_object(),
        other => panic!("`{other}` is not a type"),
    }
}
