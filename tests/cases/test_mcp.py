"""Messages at /mcp: the rules of HTTP, of both eras, and of MCP sessions. Nothing that is refused changes anything."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import requests
from actors import Assistant, Person
from server import Server

from cases.catalogue import case
from cases.evidence import read, unchanged
from cases.messages import CAPABILITIES_META, HANDSHAKE, MODERN, VERSION_META, error_code, handshake, initialize, modern, send

pytestmark = pytest.mark.server

ECHO = {"name": "trouble_echo", "arguments": {"word": "hello"}}
ASKING = "conformance_test_input_required_result_elicitation"


def said(answer: requests.Response) -> str:
    """The text of a tool's result."""
    return answer.json()["result"]["content"][0]["text"]


# --- HTTP ---


@pytest.mark.parametrize(
    "method",
    [
        *(case("E-01", method, method) for method in ("PUT", "PATCH", "HEAD", "OPTIONS", "TRACE", "BREW")),
        *(case("E-30", method, method) for method in ("GET", "DELETE")),
    ],
)
def test_only_post_is_offered(server: Server, database: Path, friend: Assistant, method: str):
    headers = {"Authorization": f"Bearer {friend.tokens['access_token']}", "MCP-Protocol-Version": MODERN}
    with unchanged(database):
        answer = requests.request(method, server.url + "/mcp", headers=headers, timeout=10)
    assert answer.status_code == 405
    assert "POST" in answer.headers["Allow"]


@pytest.mark.parametrize(
    ("header", "value", "status"),
    [
        *(
            case("E-02", value or "none", "Accept", value, 406)
            for value in ("application/json", "text/event-stream", "text/html", "", "application/json;q=0, text/event-stream")
        ),
        *(
            case("E-03", value or "none", "Content-Type", value, 415)
            for value in ("text/plain", "application/x-www-form-urlencoded", "multipart/form-data", "", "application/jsonx")
        ),
        *(
            case("E-10", value, "Origin", value, 403)
            for value in (
                "http://evil.example", "null", "http://localhost.evil.example", "https://localhost@evil.example", "file://", "",
                "http://evil.example#http://localhost",
            )
        ),
        *(case("E-12", value, "Host", value, 421) for value in ("evil.example", "localhost.evil.example", "x@localhost", "1.2")),
    ],
)  # fmt: skip
def test_a_header_that_will_not_do(database: Path, friend: Assistant, header: str, value: str, status: int):
    for message in (modern("tools/call", **ECHO), handshake("tools/call", **ECHO)):
        with unchanged(database):
            answer = send(friend, message, **{header.replace("-", "_"): value})
        assert answer.status_code == status
        assert "hello" not in answer.text


@pytest.mark.parametrize("host", [case("E-12", host, host) for host in ("localhost/x", "localhost?x", "localhost#x", "a b", "[")])
@pytest.mark.parametrize("path", ["/mcp", "/login", "/token", "/.well-known/oauth-authorization-server"])
def test_a_host_that_is_none_is_refused_everywhere(server: Server, friend: Assistant, host: str, path: str):
    answer = send(friend, modern("ping"), path=path, Host=host)
    assert answer.status_code in (400, 421)


@pytest.mark.parametrize(
    "origin", [case("E-11", origin or "none", origin) for origin in (None, "{url}", "http://127.0.0.1:6274", "http://localhost")]
)
def test_these_origins_may_ask(server: Server, friend: Assistant, origin: str | None):
    assert send(friend, modern("tools/list"), Origin=origin and origin.replace("{url}", server.url)).status_code == 200


# --- messages ---


@pytest.mark.parametrize(
    "method", [case("E-05", name, f"notifications/{name}") for name in ("initialized", "cancelled", "never_heard_of")]
)
@pytest.mark.parametrize("version", [HANDSHAKE, MODERN])
def test_a_notification_is_accepted_and_not_answered(friend: Assistant, method: str, version: str):
    answer = send(friend, {"jsonrpc": "2.0", "method": method, "params": {}}, MCP_Protocol_Version=version)
    assert (answer.status_code, answer.content) == (202, b"")


NOT_A_REQUEST = {
    "E-06 a batch": [handshake("ping")],
    "E-06 an empty batch": [],
    "E-06 a response": {"jsonrpc": "2.0", "id": 1, "result": {}},
    "E-06 an error": {"jsonrpc": "2.0", "id": 1, "error": {"code": 1, "message": "x"}},
    "E-06 a text": "ping",
    "E-06 a number": 1,
    "E-06 null": None,
    "E-06 another JSON-RPC": {"jsonrpc": "1.0", "id": 1, "method": "ping"},
    "E-40 a null id": {"jsonrpc": "2.0", "id": None, "method": "ping"},
    "E-40 a fraction": {"jsonrpc": "2.0", "id": 1.5, "method": "ping"},
    "E-40 an object": {"jsonrpc": "2.0", "id": {}, "method": "ping"},
    "E-40 true": {"jsonrpc": "2.0", "id": True, "method": "ping"},
}


@pytest.mark.parametrize("name", [case(name[:4], name[5:], name) for name in NOT_A_REQUEST])
def test_what_is_no_request_is_refused(database: Path, friend: Assistant, name: str):
    with unchanged(database):
        answer = send(friend, body=json.dumps(NOT_A_REQUEST[name]).encode(), MCP_Protocol_Version=HANDSHAKE)
    assert (answer.status_code, error_code(answer)) == (400, -32600)


def test_e40_a_long_id_comes_back_as_it_was(friend: Assistant):
    answer = send(friend, handshake("ping", "x" * 10_000))
    assert (answer.status_code, answer.json()["id"]) == (200, "x" * 10_000)


def test_e40_one_id_of_two_clients_at_once_gets_each_its_own_answer(friend: Assistant, bobs: Assistant):
    def ask(number: int) -> bool:
        assistant, word = (friend, f"alice {number}") if number % 2 else (bobs, f"bob {number}")
        return said(send(assistant, handshake("tools/call", 1, name="trouble_echo", arguments={"word": word}))) == word

    with ThreadPoolExecutor(8) as crowd:
        assert all(crowd.map(ask, range(40)))


# --- the stateless era ---

WITHOUT_META = {"jsonrpc": "2.0", "id": 7, "method": "tools/list", "params": {}}


@pytest.mark.parametrize(
    ("message", "headers", "status", "code"),
    [
        case("E-20", "another version", modern("tools/list"), {"MCP_Protocol_Version": HANDSHAKE}, 400, -32020),
        case("E-20", "no version", modern("tools/list"), {"MCP_Protocol_Version": None}, 400, -32020),
        case("E-21", "of 1900", modern("tools/list"), {"MCP_Protocol_Version": "1900-01-01", "meta": "1900-01-01"}, 400, -32022),
        case("E-21", "not a date", modern("tools/list"), {"MCP_Protocol_Version": "latest", "meta": "latest"}, 400, -32022),
        case("E-22", "an unknown method", modern("tools/never"), {}, 404, -32601),
        case("E-22", "a method of the other era", modern("initialize"), {}, 404, -32601),
        case("E-23", "no Mcp-Method", modern("tools/list"), {"Mcp_Method": None}, 400, -32020),
        case("E-23", "another Mcp-Method", modern("tools/list"), {"Mcp_Method": "ping"}, 400, -32020),
        case("E-23", "in upper case", modern("tools/list"), {"Mcp_Method": "Tools/List"}, 400, -32020),
        case("E-23", "empty", modern("tools/list"), {"Mcp_Method": ""}, 400, -32020),
        case("E-24", "no Mcp-Name", modern("tools/call", **ECHO), {"Mcp_Name": None}, 400, -32020),
        case("E-24", "another Mcp-Name", modern("tools/call", **ECHO), {"Mcp_Name": "trouble_write"}, 400, -32020),
        case("E-24", "in upper case", modern("tools/call", **ECHO), {"Mcp_Name": "TROUBLE_ECHO"}, 400, -32020),
        case("E-28", "no Mcp-Param", modern("tools/call", name="trouble_mirror", arguments={"region": "a"}), {}, 400, -32020),
        case(
            "E-28", "another Mcp-Param", modern("tools/call", name="trouble_mirror", arguments={"region": "a"}),
            {"Mcp_Param_Region": "b"}, 400, -32020,
        ),
        case("E-41", "no capabilities", modern("tools/list"), {"drop": CAPABILITIES_META}, 400, -32602),
        case("E-41", "no _meta", WITHOUT_META, {"MCP_Protocol_Version": MODERN, "Mcp_Method": "tools/list"}, 400, -32602),
    ],
)  # fmt: skip
def test_a_request_of_the_stateless_era_that_is_wrong(
    database: Path, friend: Assistant, message: dict, headers: dict, status: int, code: int
):
    message, headers = json.loads(json.dumps(message)), dict(headers)
    if "meta" in headers:
        message["params"]["_meta"][VERSION_META] = headers.pop("meta")
    message["params"].get("_meta", {}).pop(headers.pop("drop", ""), None)
    with unchanged(database):
        answer = send(friend, message, **headers)
    assert (answer.status_code, error_code(answer), answer.json()["id"]) == (status, code, 7)
    if code == -32022:
        assert answer.json()["error"]["data"]["supported"] == [MODERN]


@pytest.mark.parametrize(
    "headers",
    [
        case("E-27", "as usual", {}),
        case("E-27", "small letters", {"mcp_method": "tools/call", "mcp_name": "trouble_echo", "mcp_protocol_version": MODERN}),
        case("E-27", "great letters", {"MCP_METHOD": "tools/call", "MCP_NAME": "trouble_echo"}),
        case("E-27", "blanks around", {"Mcp_Method": "  tools/call  ", "Mcp_Name": "\ttrouble_echo "}),
        case("E-27", "an encoded name", {"Mcp_Name": "=?base64?dHJvdWJsZV9lY2hv?="}),
    ],
)
def test_a_header_may_be_written_in_any_case_and_with_blanks(server: Server, friend: Assistant, headers: dict):
    assert said(send_raw(server, friend, modern("tools/call", **ECHO), **headers)) == "hello"


def send_raw(server: Server, assistant: Assistant, message: dict, **headers: str) -> requests.Response:
    """Send headers that `requests` would find fault with: blanks around a value."""
    prepared = requests.Request("POST", server.url + "/mcp", json=message).prepare()
    usual = {"Authorization": f"Bearer {assistant.tokens['access_token']}", "Accept": "application/json, text/event-stream"}
    usual |= {"MCP-Protocol-Version": MODERN, "Mcp-Method": message["method"], "Mcp-Name": message["params"]["name"]}
    given = {name.replace("_", "-"): value for name, value in headers.items()}
    kept = {name: value for name, value in usual.items() if name.lower() not in {other.lower() for other in given}}
    prepared.headers.update(kept | given)
    return assistant.session.send(prepared, timeout=10)


def test_e28_the_right_param_header_is_let_in(friend: Assistant):
    message = modern("tools/call", name="trouble_mirror", arguments={"region": "north"})
    assert said(send(friend, message, Mcp_Param_Region="north")) == "north"


def test_e42_what_a_client_can_do_is_not_remembered(friend: Assistant):
    able, unable = {"elicitation": {}}, {}
    first = send(friend, modern("tools/call", able, name=ASKING, arguments={}))
    assert first.json()["result"]["resultType"] == "input_required"
    second = send(friend, modern("tools/call", unable, name=ASKING, arguments={}))
    assert (second.status_code, error_code(second)) == (400, -32021)
    assert second.json()["error"]["data"] == {"requiredCapabilities": {"elicitation": {}}}


# --- the handshake era ---


def test_e22_an_unknown_method_is_an_error_with_200(friend: Assistant):
    answer = send(friend, handshake("tools/never"))
    assert (answer.status_code, error_code(answer)) == (200, -32601)


@pytest.mark.parametrize("version", [case("E-31", version or "none", version) for version in (None, "2025-03-26", "2025-06-18")])
def test_an_older_version_or_none_is_served(friend: Assistant, version: str | None):
    assert said(send(friend, handshake("tools/call", **ECHO), MCP_Protocol_Version=version)) == "hello"


@pytest.mark.parametrize("version", [case("E-31", version, version) for version in ("1900-01-01", "x", "2025-11-26")])
def test_a_version_that_nobody_speaks_is_refused(friend: Assistant, version: str):
    answer = send(friend, handshake("ping"), MCP_Protocol_Version=version)
    assert (answer.status_code, error_code(answer) in (-32022, -32020, -32602)) == (400, True)


@pytest.fixture
def session_id(friend: Assistant) -> Iterator[str]:
    """An MCP session of the friend, which has one because it can be asked something."""
    answer = send(friend, initialize(elicitation={}), MCP_Protocol_Version=None)
    yield answer.headers["Mcp-Session-Id"]
    send_delete(friend, answer.headers["Mcp-Session-Id"])


def send_delete(assistant: Assistant, session_id: str) -> int:
    """End an MCP session; answers the status."""
    headers = {"Authorization": f"Bearer {assistant.tokens['access_token']}", "Mcp-Session-Id": session_id}
    return assistant.session.delete(assistant.base_url + "/mcp", headers=headers, timeout=10).status_code


def test_e32_the_session_is_known_until_it_ends(friend: Assistant, session_id: str):
    assert re.fullmatch(r"[!-~]{40,}", session_id)
    assert send(friend, handshake("ping"), Mcp_Session_Id=session_id).status_code == 200
    assert send_delete(friend, session_id) == 204
    assert send(friend, handshake("ping"), Mcp_Session_Id=session_id).status_code == 404


@pytest.mark.parametrize("wrong", [case("E-32", words, value) for words, value in {
    "unknown": "mcp_ms_" + "x" * 43, "empty": "", "SQL": "' OR 1=1 --", "8 kB": "x" * 8000,
}.items()])  # fmt: skip
def test_an_unknown_session_is_not_found(database: Path, friend: Assistant, wrong: str):
    with unchanged(database):
        assert send(friend, handshake("ping"), Mcp_Session_Id=wrong).status_code == 404
        assert send_delete(friend, wrong) == 404


def test_e32_none_is_needed_by_who_cannot_be_asked(friend: Assistant):
    answer = send(friend, initialize(), MCP_Protocol_Version=None)
    assert (answer.status_code, "Mcp-Session-Id" in answer.headers) == (200, False)
    assert send(friend, handshake("tools/list")).status_code == 200


def test_e33_a_session_of_somebody_else_is_not_found(
    server: Server, database: Path, alice: Person, friend: Assistant, bobs: Assistant, session_id: str
):
    other = Assistant(server.url)
    other.sign_in(alice)  # the same person, another client
    with unchanged(database):
        for assistant in (bobs, other):
            assert send(assistant, handshake("ping"), Mcp_Session_Id=session_id).status_code == 404
            assert send_delete(assistant, session_id) == 404
    assert send(friend, handshake("ping"), Mcp_Session_Id=session_id).status_code == 200


def test_e34_a_session_has_one_stream_at_a_time_and_the_first_one_stays(friend: Assistant, session_id: str):
    headers = {"Authorization": f"Bearer {friend.tokens['access_token']}", "Mcp-Session-Id": session_id}
    options = {"headers": headers | {"Accept": "text/event-stream"}, "timeout": 10, "stream": True}
    with friend.session.get(friend.base_url + "/mcp", **options) as first:
        assert (first.status_code, first.headers["Content-Type"]) == (200, "text/event-stream")
        chunks = first.iter_lines()
        assert next(chunks) == b": open"
        for _ in range(2):
            with friend.session.get(friend.base_url + "/mcp", **options) as second:
                assert (second.status_code, second.json()["error"]["code"]) == (409, -32600)
        assert send_delete(friend, session_id) == 204
        assert list(chunks) == [b""]


def test_e35_sessions_that_nobody_uses_are_bounded_and_the_newest_stays(server: Server, database: Path, alice: Person):
    assistant = Assistant(server.url)
    assistant.sign_in(alice)
    for _ in range(60):
        session_id = send(assistant, initialize(sampling={}), MCP_Protocol_Version=None).headers["Mcp-Session-Id"]
        assert send(assistant, handshake("ping"), Mcp_Session_Id=session_id).status_code == 200
    sql = "SELECT count(*) AS number FROM mcp_sessions m JOIN grants g ON g.id = m.grant_id WHERE g.client_id = :id"
    assert read(database, sql, id=assistant.client_id)[0]["number"] == 32


def test_e36_a_second_initialize_changes_nobody(server: Server, alice: Person):
    assistant = Assistant(server.url)
    assistant.tokens = assistant.exchange(alice.decide(assistant.authorize_url(), feature_set="read_only")).json()
    before = send(assistant, handshake("tools/list")).json()
    for name in ("Claude", "owner", "admin"):
        message = initialize(elicitation={})
        message["params"]["clientInfo"] = {"name": name, "version": "9"}
        session_id = send(assistant, message, MCP_Protocol_Version=None).headers["Mcp-Session-Id"]
        assert send(assistant, handshake("tools/list"), Mcp_Session_Id=session_id).json() == before


# --- other people's handles, and tools that misbehave ---


def test_e43_a_state_of_somebody_else_is_refused(database: Path, friend: Assistant, bobs: Assistant):
    call = {"name": ASKING, "arguments": {}}
    able = {"elicitation": {}}
    state = send(friend, modern("tools/call", able, **call)).json()["result"]["requestState"]
    answers = {"user_name": {"action": "accept", "content": {"name": "Alice"}}}
    retry = modern("tools/call", able, **call, requestState=state, inputResponses=answers)
    with unchanged(database):
        refused = send(bobs, retry)
    assert (refused.status_code, error_code(refused)) == (400, -32602)
    assert said(send(friend, retry)) == "Hello, Alice!"


@pytest.mark.parametrize("state", [case("E-43", words, value) for words, value in {
    "garbage": "x", "empty": "", "long": "A" * 100_000, "beyond ASCII": "ü",
}.items()])  # fmt: skip
def test_a_forged_state_is_refused(friend: Assistant, state: str):
    answer = send(friend, modern("tools/call", {"elicitation": {}}, name=ASKING, arguments={}, requestState=state))
    assert (answer.status_code, error_code(answer)) == (400, -32602)


LISTS = ("tools/list", "prompts/list", "resources/list", "resources/templates/list")


@pytest.mark.parametrize("method", [case("E-43", m, m) for m in LISTS])
@pytest.mark.parametrize(("era", "status"), [(modern, 400), (handshake, 200)])
@pytest.mark.parametrize("cursor", ["bob:2", ""])
def test_a_forged_cursor_is_refused(friend: Assistant, method: str, era, status: int, cursor: str):
    answer = send(friend, era(method, cursor=cursor))
    assert (answer.status_code, error_code(answer)) == (status, -32602)
    assert "nextCursor" not in send(friend, era(method)).json()["result"]


@pytest.mark.parametrize(
    ("tool", "is_result"),
    [
        case("E-45", "raises", "break_down", True),
        case("E-45", "not UTF-8", "bad_text", False),
        case("E-45", "bytes", "raw_bytes", True),
        case("E-45", "a circle", "circle", False),
        case("E-45", "unknown", "never_heard_of", False),
    ],
)
@pytest.mark.parametrize("era", [modern, handshake])
def test_a_tool_that_misbehaves_harms_nobody(server: Server, friend: Assistant, tool: str, is_result: bool, era):
    answer = send(friend, era("tools/call", name=f"trouble_{tool}", arguments={}))
    body = answer.json()
    assert body["result"]["isError"] if is_result else body["error"]["code"] in (-32603, -32602)
    assert "secret" not in answer.text
    assert said(send(friend, handshake("tools/call", **ECHO))) == "hello"


def test_e45_50_megabytes_are_sent_or_refused_and_the_server_lives(server: Server, friend: Assistant):
    answer = send(friend, handshake("tools/call", name="trouble_large", arguments={}))
    assert answer.status_code == 200
    assert len(said(answer)) == 50_000_000 if "result" in answer.json() else error_code(answer) == -32603
    assert server.answers()
