"""Holds JSON documents against the schemas of a folder, and shows that the same documents are refused when something in
them is broken. A plan file, which names no schema, is held against the one for plan files.

Stricter than the schemas on one point: a field that is not described fails, although readers are told to expect new ones.
Prints the schemas and the kinds of events that no document had, and the number of values that were broken.
"""

import collections
import copy
import json
import pathlib
import sys
import tomllib

from jsonschema import Draft202012Validator, FormatChecker

# Objects that may hold anything, as may each of an event's `heads`. Documents inside of others have schemas of their own.
OPEN = {"settings", "who"}
ANNOTATIONS = {"$schema", "$id", "$defs", "title", "description"}


def closed(schema):
    """Returns the schema with each object closed that does not say what else it may hold."""
    misspelt = schema.keys() - Draft202012Validator.VALIDATORS.keys() - ANNOTATIONS
    assert not misspelt, misspelt
    schema = dict(schema)
    for name in ("properties", "$defs"):
        schema |= {name: {key: closed(inner) for key, inner in schema[name].items()}} if name in schema else {}
    for name in ("items", "additionalProperties"):
        schema |= {name: closed(schema[name])} if isinstance(schema.get(name), dict) else {}
    if "properties" in schema:
        schema.setdefault("additionalProperties", False)
    return schema


def validator(path):
    schema = json.loads(path.read_text())
    Draft202012Validator.check_schema(schema)
    return Draft202012Validator(closed(schema), format_checker=FormatChecker(["date-time"]))


def documents(path):
    """Yields each document of a file, with the name of its schema."""
    if path.suffix == ".toml":
        yield "cutover.planfile.v1", tomllib.loads(path.read_text())
        return
    decoder, text = json.JSONDecoder(), path.read_text().strip()
    while text:
        document, end = decoder.raw_decode(text)
        yield document["schema"], document
        text = text[end:].lstrip()


def places(value, at=()):
    """Yields the place of each value in a document, but for values of which the schema says nothing."""
    for key, inner in value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ():
        yield (*at, key)
        is_open = isinstance(inner, dict) and (key in OPEN or "schema" in inner) or at[-1:] == ("heads",)
        yield from () if is_open else places(inner, (*at, key))


def broken(document, at):
    """Returns the document with a value of another type at a place."""
    document = copy.deepcopy(document)
    holder = document
    for key in at[:-1]:
        holder = holder[key]
    holder[at[-1]] = {"odd": []} if isinstance(holder[at[-1]], list) else [[]]
    return document


schemas = {f"cutover.{path.stem}": validator(path) for path in pathlib.Path(sys.argv[1]).iterdir()}
counts, kinds, broken_before, let_through = collections.Counter(), set(), set(), []
for name, document in (each for path in sys.argv[2:] for each in documents(pathlib.Path(path))):
    schema, kind = schemas[name], document.get("kind", "")
    faults = [f"{fault.json_path}: {fault.message}" for fault in schema.iter_errors(document)]
    assert not faults, f"{name} {kind}: {faults}"
    counts[name] += 1
    kinds |= {kind} - {""}
    for key in schema.schema.get("required", []):
        assert not schema.is_valid({other: document[other] for other in document if other != key}), f"{name}: no {key}"
    for at in places(document):
        place = (name, kind, *("[]" if isinstance(key, int) else key for key in at))
        if place not in broken_before:
            broken_before.add(place)
            let_through += [place] if schema.is_valid(broken(document, at)) else []
assert not let_through, f"values of another type are let through: {let_through}"

event = schemas["cutover.event.v1"].schema
print(json.dumps({
    "without": sorted(schemas.keys() - counts.keys()),
    "kinds_without": sorted(set(event["properties"]["kind"]["enum"]) - kinds),
    "broken": len(broken_before),
}))
