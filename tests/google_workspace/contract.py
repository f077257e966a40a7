"""What Google's own discovery documents say of a request or an answer, and what is wrong with one. Knows no connector."""

from __future__ import annotations

import functools
import importlib.util
import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

# they ship inside google-api-python-client, one for each service
NAMES = (
    "gmail.v1", "calendar.v3", "drive.v3", "docs.v1", "sheets.v4", "slides.v1", "tasks.v1", "people.v1", "forms.v1", "meet.v2",
    "chat.v1", "admin.directory_v1", "admin.reports_v1", "oauth2.v2",
)  # fmt: skip
KINDS: dict[str, tuple[type, ...]] = {
    "string": (str,),
    "integer": (int,),
    "number": (int, float),
    "boolean": (bool,),
    "object": (dict,),
    "array": (list,),
    "any": (object,),
}
TEXTS = {
    "integer": r"-?[0-9]+",
    "number": r"-?[0-9]+(\.[0-9]+)?",
    "boolean": "true|false",
    "string": "(?s).*",
}
MEDIA = re.compile(r"multipart/related; boundary=(\S+)")


@dataclass(frozen=True)
class Method:
    """One method of a service."""

    id: str
    http: str
    pattern: re.Pattern[str]
    holes: tuple[str, ...]
    facts: Mapping[str, Any]
    document: Mapping[str, Any]
    takes_media: bool

    @property
    def scopes(self) -> frozenset[str]:
        """Any one of these lets a caller in."""
        return frozenset(self.facts.get("scopes", ()))

    def schema(self, name: str) -> dict[str, Any]:
        """The schema of the `request` or `response`; an empty one if there is none."""
        return self.document["schemas"].get(self.facts.get(name, {}).get("$ref"), {})


def folder() -> Path:
    """Where the documents lie."""
    spec = importlib.util.find_spec("googleapiclient")
    assert spec is not None, "google-api-python-client is in requirements-dev.txt"
    assert spec.submodule_search_locations is not None
    return Path(spec.submodule_search_locations[0]) / "discovery_cache" / "documents"


@functools.cache
def methods() -> tuple[Method, ...]:
    """Every method of every service."""
    return tuple(method for name in NAMES for method in read_document(json.loads((folder() / f"{name}.json").read_text())))


def read_document(document: dict[str, Any]) -> Iterator[Method]:
    """The methods of one service; one that takes media is there twice."""
    for facts in walk(document):
        if facts["id"].startswith("drive.teamdrives") or facts["id"] == "admin.channels.stop":
            continue
        yield make_method(document, facts, document["servicePath"] + (facts.get("flatPath") or facts["path"]), False)
        protocols = facts.get("mediaUpload", {}).get("protocols", {})
        if "simple" in protocols:
            yield make_method(document, facts, protocols["simple"]["path"].removeprefix("/"), True)


def walk(resource: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """The methods of a resource, and of those inside of it."""
    yield from resource.get("methods", {}).values()
    for inner in resource.get("resources", {}).values():
        yield from walk(inner)


def make_method(document: dict[str, Any], facts: dict[str, Any], path: str, takes_media: bool) -> Method:
    """A method at a path."""
    pieces = re.split(r"\{\+?([A-Za-z_]+)\}", document["rootUrl"] + path)
    pattern = "".join(re.escape(piece) if index % 2 == 0 else "([^/:?]+)" for index, piece in enumerate(pieces))
    return Method(facts["id"], facts["httpMethod"], re.compile(pattern), tuple(pieces[1::2]), facts, document, takes_media)


def find_method(http: str, url: str) -> tuple[Method, tuple[str, ...]] | None:
    """The method that a URL belongs to, and what stands in its holes; one with fewer holes wins (`…/quickAdd` over `…/{id}`)."""
    found = []
    for index, method in enumerate(by_place().get((http, urlsplit(url).netloc), ())):
        if match := method.pattern.fullmatch(url):
            found.append((len(match.groups()), index, method, match.groups()))
    return min(found)[2:] if found else None


@functools.cache
def by_place() -> dict[tuple[str, str], list[Method]]:
    """The methods by HTTP method and host."""
    found: dict[tuple[str, str], list[Method]] = {}
    for method in methods():
        found.setdefault((method.http, urlsplit(method.document["rootUrl"]).netloc), []).append(method)
    return found


# --- faults ---


def faults_of(method: Method, query: Iterable[tuple[str, str]], body: Any, form: bytes | None, content_type: str) -> list[str]:
    """Everything in which a request differs from what Google describes."""
    query = list(query)
    known = {**method.document.get("parameters", {}), **method.facts.get("parameters", {}), **UPLOAD}
    faults = [fault for name, text in query for fault in query_faults(name, text, known.get(name))]
    names = [name for name, _ in query]
    once = {name for name in names if names.count(name) > 1 and not known.get(name, {}).get("repeated")}
    faults += [f"{name} is there twice" for name in once]
    required = {name for name, facts in known.items() if facts.get("required") and facts.get("location") == "query"}
    faults += [f"parameter {name} is missing" for name in required - set(names)]
    faults += [fault for name, text in query if name == "fields" for fault in mask_faults(method, text)]
    if form is not None:
        body, more = read_form(form, content_type, method)
        faults += more
    elif method.takes_media:
        faults.append("content is missing")
    return faults + body_faults(method, body)


UPLOAD: dict[str, Any] = {"uploadType": {"type": "string", "location": "query"}}


def query_faults(name: str, text: str, facts: Mapping[str, Any] | None) -> list[str]:
    """Whether a query parameter is known, of its type, and inside its bounds."""
    if facts is None:
        return [f"no parameter {name}"]
    if not re.fullmatch(TEXTS[facts["type"]], text):
        return [f"{name}={text} is no {facts['type']}"]
    if "enum" in facts and text not in facts["enum"]:
        return [f"{name}={text} is none of {facts['enum']}"]
    if "pattern" in facts and not re.fullmatch(facts["pattern"], text):
        return [f"{name}={text} does not fit {facts['pattern']}"]
    low, high = float(facts.get("minimum", "-inf")), float(facts.get("maximum", "inf"))
    is_inside = facts["type"] != "integer" or low <= int(text) <= high
    return [] if is_inside else [f"{name}={text} is not between {low} and {high}"]


def body_faults(method: Method, body: Any) -> list[str]:
    """Whether a body is there where one has to be, and fits its schema."""
    if "request" not in method.facts:
        return [] if body is None else ["there must be no body"]
    if body is None:
        return ["the body is missing"]
    return value_faults(method.document, method.schema("request"), body, "body", is_patch=method.http == "PATCH")


def read_form(form: bytes, content_type: str, method: Method) -> tuple[Any, list[str]]:
    """The metadata of a multipart upload (RFC 2387), and what is wrong with its frame."""
    match = MEDIA.fullmatch(content_type)
    if not method.takes_media or match is None:
        return None, [f"{content_type} is not taken"]
    pieces = form.split(b"--" + match[1].encode())
    if len(pieces) != 4 or pieces[0] or pieces[3] != b"--\r\n":
        return None, ["the parts are not two"]
    head, _, metadata = pieces[1].strip().partition(b"\r\n\r\n")
    return json.loads(metadata), [] if b"application/json" in head else ["the first part is no JSON"]


def media_of(form: bytes, content_type: str) -> tuple[dict[str, Any], str, bytes]:
    """Metadata, type and content of a multipart upload."""
    match = MEDIA.fullmatch(content_type)
    assert match is not None
    first, second = form.split(b"--" + match[1].encode())[1:3]
    head, _, content = second.removeprefix(b"\r\n").partition(b"\r\n\r\n")
    kind = head.decode().removeprefix("Content-Type: ")
    return json.loads(first.strip().partition(b"\r\n\r\n")[2]), kind, content.removesuffix(b"\r\n")


def value_faults(
    document: Mapping[str, Any], schema: Mapping[str, Any], value: Any, where: str, *, is_patch: bool = False
) -> list[str]:
    """Everything in which a value differs from a schema of a discovery document. A patch may empty what it names."""
    schema = follow(document, schema)
    if value is None and is_patch:
        return []
    kind = schema.get("type", "any")
    if not isinstance(value, KINDS[kind]) or (kind in ("integer", "number") and isinstance(value, bool)):
        return [f"{where}: {value!r:.60} is no {kind}"]
    if kind == "string" and "enum" in schema and value not in schema["enum"]:
        return [f"{where}: {value!r:.60} is none of {schema['enum']}"]
    if kind == "string" and schema.get("format") in ("int64", "uint64") and not re.fullmatch(r"-?[0-9]+", value):
        return [f"{where}: {value!r:.60} is no number"]
    if kind == "array":
        inner = schema.get("items", {})
        return [fault for item in value for fault in value_faults(document, inner, item, where + "[]", is_patch=is_patch)]
    if kind == "object":
        return member_faults(document, schema, value, where, is_patch)
    return []


def member_faults(
    document: Mapping[str, Any], schema: Mapping[str, Any], value: dict[str, Any], where: str, is_patch: bool
) -> list[str]:
    """The same for the members of an object."""
    known, others, faults = schema.get("properties", {}), schema.get("additionalProperties"), []
    for name, item in value.items():
        inner = known.get(name, others)
        if inner is None:
            faults.append(f"{where}: no member {name}")
        else:
            faults += value_faults(document, inner, item, f"{where}.{name}", is_patch=is_patch)
    return faults


def follow(document: Mapping[str, Any], schema: Mapping[str, Any]) -> Mapping[str, Any]:
    """What a schema refers to, if it is a reference."""
    return document["schemas"][schema["$ref"]] if "$ref" in schema else schema


def mask_faults(method: Method, mask: str) -> list[str]:
    """Whether a `fields` mask names members that the answer can have."""
    return [f"fields: no {fault}" for fault in walk_mask(method.document, method.schema("response"), mask)]


def walk_mask(document: Mapping[str, Any], schema: Mapping[str, Any], mask: str) -> Iterator[str]:
    """The names in a mask such as `a,b(c,d)` that lead nowhere."""
    for name, inner in split_mask(mask):
        properties = follow(document, schema).get("properties", {})
        if name not in properties:
            yield name
        elif inner:
            found = follow(document, properties[name])
            yield from walk_mask(document, found.get("items", found), inner)


def split_mask(mask: str) -> Iterator[tuple[str, str]]:
    """(name, what is in the brackets behind it) of each part of a mask."""
    depth, piece = 0, ""
    for letter in mask + ",":
        if letter == "," and depth == 0:
            name, _, inner = piece.partition("(")
            yield name, inner.removesuffix(")")
            piece = ""
            continue
        depth += {"(": 1, ")": -1}.get(letter, 0)
        piece += letter
