"""Strict JSON, envelopes, the two eras, and what an answer looks like."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as some

import strict_json
from errors import Cancelled, ProtocolError, StorageError, ToolError
from links import PRODUCT
from protocol import (
    Request,
    answer,
    answer_error,
    check_message,
    check_notification,
    encode_json,
    is_modern,
    parse_json,
    read_handshake,
    read_modern,
    request_id,
)
from strict_json import MAX_DEPTH
from upstream_messages import read_message

MODERN = "2026-07-28"
ENVELOPE = {"io.modelcontextprotocol/protocolVersion": MODERN, "io.modelcontextprotocol/clientCapabilities": {}}


def modern_message(method="tools/list", **params):
    return {"jsonrpc": "2.0", "id": 7, "method": method, "params": {"_meta": ENVELOPE, **params}}


def modern_headers(method="tools/list", name=None, version=MODERN):
    headers = {"mcp-protocol-version": version, "mcp-method": method}
    return headers if name is None else {**headers, "mcp-name": name}


def modern_request(method="tools/call", **params):
    return Request(7, method, {"_meta": ENVELOPE, **params}, MODERN, True, {})


def handshake_request(method="tools/call", version="2025-11-25", **params):
    return Request(7, method, params, version, False, {})


def refusal(function, *arguments) -> ProtocolError:
    with pytest.raises(ProtocolError) as caught:
        function(*arguments)
    return caught.value


# --- JSON ---


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"nul",
        b"\xef\xbb\xbf{}",
        b'"\xff"',
        b'"\xed\xa0\x80"',
        b'"\\ud800"',
        b'{"\\uDFFF": 1}',
        b"NaN",
        b"-Infinity",
        b"1e999",
        b"9" * 5000,
        b'{"a": 1, "a": 2}',
        b'{"x": [{"a": 1, "a": 1}]}',
        b"[" * 100_000,
        b"[" * (MAX_DEPTH + 1) + b"]" * (MAX_DEPTH + 1),
        '{"a": 1}'.encode("utf-16"),
    ],
)
def test_it_refuses_what_is_not_strict_json(body):
    error = refusal(parse_json, body)

    assert (error.code, error.status) == (-32700, 400)


@pytest.mark.parametrize(
    ("body", "value"),
    [
        (b'"\\ud83d\\ude00"', "😀"),
        (b'"\\\\ud800"', "\\ud800"),
        (b"9" * 300, int("9" * 300)),
        (b'{"a": 1.5, "b": [true, null]}', {"a": 1.5, "b": [True, None]}),
        (b"[" * MAX_DEPTH + b"]" * MAX_DEPTH, json.loads("[" * MAX_DEPTH + "]" * MAX_DEPTH)),
    ],
)
def test_it_reads_what_is_strict_json(body, value):
    assert parse_json(body) == value


def test_it_refuses_so_many_arrays_and_objects_that_they_would_fill_the_memory(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(strict_json, "MAX_PARTS", 3)
    assert parse_json(b'[{"a[": "\\"[[[[{{{{"}, []]') == [{"a[": '"[[[[{{{{'}, []]  # those in strings are none
    for body in (b"[{},[],{}]", b'["[[",{},{},{}]', b'[{},[],{}, "[[[', b'"\\"[[[['):
        assert refusal(parse_json, body).code == -32700
    with pytest.raises(ValueError, match="too many parts"):
        read_message(b"[{},[],{}]")  # nor is it read in a lenient way


@given(some.recursive(some.none() | some.booleans() | some.integers(-(2**70), 2**70) | some.text(), some.lists))
def test_what_it_encodes_it_reads_again(value):
    assert parse_json(encode_json(value)) == value


# --- envelopes ---


@pytest.mark.parametrize(
    ("message", "code"),
    [
        ([], -32600),
        ([{"jsonrpc": "2.0", "id": 1, "method": "ping"}], -32600),
        ("ping", -32600),
        (None, -32600),
        ({"id": 1, "method": "ping"}, -32600),
        ({"jsonrpc": "1.0", "id": 1, "method": "ping"}, -32600),
        ({"jsonrpc": "2.0", "id": None, "method": "ping"}, -32600),
        ({"jsonrpc": "2.0", "id": 1.0, "method": "ping"}, -32600),
        ({"jsonrpc": "2.0", "id": True, "method": "ping"}, -32600),
        ({"jsonrpc": "2.0", "id": [], "method": "ping"}, -32600),
        ({"jsonrpc": "2.0", "id": 1, "method": 5}, -32600),
        ({"jsonrpc": "2.0", "method": None}, -32600),
        ({"jsonrpc": "2.0", "id": 1}, -32600),
        ({"jsonrpc": "2.0", "id": 1, "result": {}, "error": {}}, -32600),
        ({"jsonrpc": "2.0", "id": 1, "method": "ping", "params": []}, -32602),
    ],
)
def test_it_refuses_what_is_not_one_message(message, code):
    error = refusal(check_message, message)

    assert (error.code, error.status) == (code, 400)


@pytest.mark.parametrize(
    "message",
    [
        {"jsonrpc": "2.0", "id": "a", "method": "ping"},
        {"jsonrpc": "2.0", "id": 0, "method": "ping", "params": None},
        {"jsonrpc": "2.0", "method": "notifications/initialized"},
        {"jsonrpc": "2.0", "id": 1, "result": {}},
    ],
)
def test_it_takes_requests_notifications_and_responses(message):
    check_message(message)


def test_the_id_of_a_message_is_a_string_or_an_integer_or_unknown():
    assert [request_id({"id": value}) for value in ("a", 0, True, 1.5, None)] == ["a", 0, None, None, None]
    assert request_id([]) is None


# --- eras ---


def test_the_header_or_the_envelope_tells_the_era():
    plain = {"jsonrpc": "2.0", "id": 1, "method": "tools/list"}

    assert not is_modern(plain, None)
    assert not is_modern(plain, "2025-11-25")
    assert is_modern(plain, MODERN)
    assert is_modern(plain, "1900-01-01")
    assert is_modern(modern_message(), None)
    assert is_modern(modern_message(), "2025-11-25")


@pytest.mark.parametrize(
    ("message", "headers", "code"),
    [
        ({**modern_message(), "params": {}}, modern_headers(), -32602),
        (
            {**modern_message(), "params": {"_meta": {"io.modelcontextprotocol/protocolVersion": MODERN}}},
            modern_headers(),
            -32602,
        ),
        (modern_message(), {}, -32020),
        (modern_message(), modern_headers(version="2025-11-25"), -32020),
        (modern_message(), {"mcp-protocol-version": MODERN}, -32020),
        (modern_message(), modern_headers("TOOLS/LIST"), -32020),
        (modern_message("tools/call", name="a"), modern_headers("tools/call"), -32020),
        (modern_message("tools/call", name="a"), modern_headers("tools/call", "b"), -32020),
        (modern_message("tools/call", name="a"), modern_headers("tools/call", "=?base64?****?="), -32020),
        (modern_message("ping"), modern_headers("ping"), -32601),
        (modern_message("initialize"), modern_headers("initialize"), -32601),
        (modern_message("x/y"), modern_headers("x/y"), -32601),
        (modern_message("tools/call"), modern_headers("tools/call"), -32602),
        (modern_message("tools/call", name="a", inputResponses=None), modern_headers("tools/call", "a"), -32602),
        (modern_message("tools/call", name="a", requestState=None), modern_headers("tools/call", "a"), -32602),
        (modern_message("tools/call", name="a", arguments=[]), modern_headers("tools/call", "a"), -32602),
        (modern_message(_meta={**ENVELOPE, "progressToken": True}), modern_headers(), -32602),
        (modern_message(_meta={**ENVELOPE, "io.modelcontextprotocol/clientCapabilities": 5}), modern_headers(), -32602),
    ],
)
def test_it_refuses_a_wrong_request_of_the_stateless_era(message, headers, code):
    assert refusal(read_modern, message, headers).code == code


def test_an_unknown_version_is_told_the_versions_there_are():
    meta = {**ENVELOPE, "io.modelcontextprotocol/protocolVersion": "1900-01-01"}

    error = refusal(read_modern, modern_message(_meta=meta), modern_headers(version="1900-01-01"))

    assert (error.code, error.data["supported"]) == (-32022, [MODERN])


def test_a_name_may_come_encoded():
    request = read_modern(modern_message("tools/call", name="größe"), modern_headers("tools/call", "=?base64?Z3LDtsOfZQ==?="))

    assert request.params["name"] == "größe"
    assert request.modern


@pytest.mark.parametrize(
    ("message", "code"),
    [
        ({"id": 1, "method": "server/discover"}, -32601),
        ({"id": 1, "method": "x/y"}, -32601),
        ({"id": 1, "method": "tools/call", "params": {"name": 5}}, -32602),
        ({"id": 1, "method": "tools/call", "params": {}}, -32602),
        ({"id": 1, "method": "initialize", "params": {"protocolVersion": "2025-11-25"}}, -32602),
        ({"id": 1, "method": "initialize"}, -32602),
    ],
)
def test_it_refuses_a_wrong_request_of_the_handshake_era(message, code):
    assert refusal(read_handshake, message, None, {}).code == code


@pytest.mark.parametrize(
    ("asked", "agreed"), [("2024-11-05", "2024-11-05"), ("2025-06-18", "2025-06-18"), ("9", "2025-11-25"), (MODERN, "2025-11-25")]
)
def test_the_handshake_agrees_on_a_version_that_both_speak(asked, agreed):
    params = {"protocolVersion": asked, "capabilities": {"roots": {}}, "clientInfo": {"name": "a", "version": "1"}}

    request = read_handshake({"id": 1, "method": "initialize", "params": params}, None, {})

    assert (request.version, request.capabilities) == (agreed, {"roots": {}})


def test_without_a_version_header_the_oldest_http_version_is_meant():
    assert read_handshake({"id": 1, "method": "tools/list"}, None, {}).version == "2025-03-26"


def test_a_refusal_repeats_nothing_of_what_was_sent():
    message = modern_message("tools/call", name="a", arguments="hunter2", inputResponses={"hunter2": "hunter2"})

    error = refusal(read_modern, message, modern_headers("tools/call", "a"))

    assert "hunter2" not in repr((error.message, error.data))


def test_notifications_are_taken_in_every_version_that_there_is():
    note = {"jsonrpc": "2.0", "method": "notifications/whatever"}

    for version in (None, "2025-11-25", MODERN):
        check_notification(note, version)

    assert refusal(check_notification, note, "1900-01-01").code == -32022
    twofold = {"jsonrpc": "2.0", "method": "notifications/x", "params": {"_meta": ENVELOPE}}
    check_notification(twofold, MODERN)
    check_notification({**note, "params": {"_meta": "odd"}}, MODERN)
    for version in ("2025-11-25", "1900-01-01"):
        assert refusal(check_notification, twofold, version).code == -32020


# --- answers ---


def body_of(answered):
    status, body = answered
    return status, json.loads(body)


def test_a_result_of_the_stateless_era_is_stamped_and_keeps_unknown_members():
    result = {"content": [{"type": "text", "text": "é", "vendor": 1}], "vendor": None, "_meta": {"a": 1}}

    status, body = body_of(answer(modern_request(), lambda: result))

    assert (status, body["id"]) == (200, 7)
    assert body["result"] == {
        **result,
        "resultType": "complete",
        "_meta": {"a": 1, "io.modelcontextprotocol/serverInfo": PRODUCT},
    }
    assert result["_meta"] == {"a": 1}


def test_a_list_of_the_stateless_era_is_private_and_stale_at_once():
    result = body_of(answer(modern_request("tools/list"), lambda: {"tools": []}))[1]["result"]

    assert (result["ttlMs"], result["cacheScope"], result["resultType"]) == (0, "private", "complete")


def test_a_question_is_not_to_be_cached():
    asking = {"resultType": "input_required", "inputRequests": {"a": {"method": "roots/list", "params": {}}}, "requestState": "x"}

    result = body_of(answer(modern_request("resources/read"), lambda: asking))[1]["result"]

    assert "ttlMs" not in result


def test_a_result_of_the_handshake_era_is_sent_as_it_is():
    assert body_of(answer(handshake_request(), lambda: {"content": [], "vendor": 1}))[1]["result"] == {"content": [], "vendor": 1}


@pytest.mark.parametrize(
    "result",
    [
        {},
        {"content": [{"type": "video"}]},
        {"content": [], "structuredContent": [1]},
        {"content": [], "vendor": float("nan")},
        {"content": [{"type": "text", "text": "\ud800"}]},
        {"content": [], "vendor": object()},
        {"content": [], "vendor": {1, 2}},
    ],
)
def test_a_result_that_does_not_follow_the_protocol_becomes_an_internal_error(result):
    status, body = body_of(answer(handshake_request(), lambda: result))

    assert (status, body["id"], body["error"]["code"]) == (200, 7, -32603)


def test_a_result_that_contains_itself_becomes_an_internal_error():
    circle: dict = {"content": []}
    circle["vendor"] = circle

    assert body_of(answer(handshake_request(), lambda: circle))[1]["error"]["code"] == -32603


@pytest.mark.parametrize(
    ("error", "code", "told"),
    [
        (ProtocolError(-32602, "no", {"a": 1}), -32602, "no"),
        (ToolError("for the model"), -32603, "for the model"),
        (Cancelled("x"), -32603, "The request was cancelled"),
        (StorageError("disk /secret/path"), -32603, "The database cannot be used just now; try again"),
    ],
)
def test_what_was_foreseen_is_told(error, code, told):
    _, body = answer_error(error, 1, True)

    assert (json.loads(body)["error"]["code"], json.loads(body)["error"]["message"]) == (code, told)


@pytest.mark.parametrize(
    ("code", "modern", "told"),
    [
        (-32002, True, -32603), (-32002, False, -32002), (-32042, True, -32603), (-32042, False, -32042), (-32099, True, -32603),
        (-32020, True, -32020), (-32021, True, -32021), (-32022, True, -32022), (-32019, True, -32019), (-32100, True, -32100),
        (-32000, True, -32000), (7, True, 7),
    ],
)  # fmt: skip
def test_another_servers_error_has_no_code_of_an_older_era_in_the_stateless_one(code, modern, told):
    status, body = answer_error(ProtocolError(code, "words", {"a": 1}), 1, modern)

    assert json.loads(body)["error"] == {"code": told, "message": "words", "data": {"a": 1}}
    assert status == (400 if modern and told in (-32020, -32021, -32022) else 200)


def test_what_nobody_foresaw_is_logged_under_an_id_and_without_values(caplog):
    def work():
        raise ValueError("hunter2")

    status, body = body_of(answer(modern_request(), work))

    assert (status, body["error"]["code"]) == (200, -32603)
    error_id = body["error"]["message"].split()[-1]
    assert error_id in caplog.text
    assert "ValueError" in caplog.text
    assert "hunter2" not in caplog.text.replace('raise ValueError("hunter2")', "")  # the line of code stands in the traceback
    assert "hunter2" not in body["error"]["message"]


@pytest.mark.parametrize(
    ("code", "identity", "modern", "status"),
    [
        (-32601, 1, True, 404),
        (-32602, 1, True, 400),
        (-32021, 1, True, 400),
        (-32603, 1, True, 200),
        (-32601, 1, False, 200),
        (-32602, 1, False, 200),
        (-32600, None, False, 400),
        (-32002, 1, False, 200),
    ],
)
def test_the_era_decides_the_http_status(code, identity, modern, status):
    assert answer_error(ProtocolError(code, "x"), identity, modern)[0] == status


def test_the_version_it_tells_is_that_of_the_project():
    project = tomllib.loads((Path(__file__).parent.parent / "pyproject.toml").read_text())["project"]

    assert PRODUCT["version"] == project["version"]
