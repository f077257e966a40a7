"""MCP sessions through the bridge: who gets one, whose it is, and questions over a request's stream."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from types import SimpleNamespace

import pytest
from conftest import NOW
from grants import make_grant
from werkzeug.test import Client

import mcp_sessions
from errors import InvalidToken
from mcp_bridge import Bridge
from store.mcp_sessions import IDLE_SECONDS, SEEN_EVERY_SECONDS, create_mcp_session, purge_mcp_sessions
from tools import Tool, text

BOTH = "application/json, text/event-stream"
QUESTION = ("elicitation/create", {"message": "Sure?", "requestedSchema": {"type": "object", "properties": {}}})
ACCEPT = {"action": "accept", "content": {}}
ASKABLE = {"elicitation": {}}


class AskingToolbox:
    """One tool, which asks the person and answers what the person did; one that logs."""

    def can_subscribe(self, caller):
        return False

    def list_nothing(self, caller):
        return []

    list_tools = list_resources = list_templates = list_prompts = list_nothing

    def find_tool(self, caller, name):
        return Tool(name, name, "", {"type": "object"}, lambda context, arguments: None, streams=True)

    def call_tool(self, caller, name, arguments, call):
        if name == "log":
            for level in ("debug", "info", "error"):
                call.log(level, "line")
            return {"content": []}
        return {"content": [text(call.ask("sure", *QUESTION)["action"])]}


@pytest.fixture
def clock():
    return SimpleNamespace(now=NOW)


@pytest.fixture
def bridge(settings, vault, db, clock):
    callers = {
        name: SimpleNamespace(
            user_id=name, grant_id=make_grant(db, vault, name), session_id=f"sign-in of {name}", paused_at=None
        )
        for name in ("alice", "bob")
    }

    def authenticate(authorization, resource):
        if authorization is None:
            raise InvalidToken("A bearer token is needed.", code=None)
        return callers[authorization.partition(" ")[2]]

    return Bridge(settings, authenticate, AskingToolbox(), vault, db, lambda: clock.now)


@pytest.fixture
def send(bridge):
    client = Client(bridge)

    def post(message, session=None, who="alice", method="POST", buffered=True, **headers):
        usual = {"Authorization": f"Bearer {who}", "Accept": BOTH, "Content-Type": "application/json"}
        given = {name.replace("_", "-"): value for name, value in headers.items()}
        if session is not None:
            given["Mcp-Session-Id"] = session
        headers = {name: value for name, value in (usual | given).items() if value is not None}
        return client.open("/mcp", method=method, data=json.dumps(message), headers=headers, buffered=buffered)

    return post


def request(method, /, **params):
    return {"jsonrpc": "2.0", "id": 1, "method": method, "params": params}


def initialize(send, capabilities=ASKABLE, **options):
    info = {"name": "client", "version": "1"}
    message = request("initialize", protocolVersion="2025-06-18", capabilities=capabilities, clientInfo=info)
    return send(message, **options).headers.get("Mcp-Session-Id")


def code_of(response):
    return response.status_code, response.get_json()["error"]["code"]


def next_message(chunks):
    """The next message of a stream; comments are skipped."""
    for chunk in chunks:
        if chunk.startswith(b"event: message\ndata: "):
            return json.loads(chunk.partition(b"data: ")[2])
    return None


# --- who gets one, and whose it is ---


@pytest.mark.parametrize(
    ("capabilities", "given"),
    [({}, False), ({"experimental": {}}, False), ({"roots": {}}, True), ({"sampling": {}}, True), ({"elicitation": {}}, True)],
)
def test_only_a_client_that_can_be_asked_gets_a_session(send, capabilities, given):
    assert (initialize(send, capabilities) is not None) == given


def test_a_session_is_served_while_nothing_can_be_written(send, clock, db, monkeypatch):
    """When it was last seen is only a note: the next minute brings another."""
    monkeypatch.setattr("db.HASTY_SECONDS", 0)
    session = initialize(send)
    clock.now += SEEN_EVERY_SECONDS
    with closing(sqlite3.connect(db.path)) as other:
        other.execute("BEGIN IMMEDIATE")
        assert send(request("ping"), session).get_json()["result"] == {}
    assert send(request("ping"), session).status_code == 200
    assert db.query("SELECT seen_at FROM mcp_sessions")[0]["seen_at"] == clock.now


def test_a_session_id_is_long_visible_ascii_and_never_the_same(send):
    first, second = initialize(send), initialize(send)

    assert first != second
    assert len(first) > 40
    assert first.isascii()
    assert first.isprintable()


@pytest.mark.parametrize("session", ["unknown", "", "mcp_ms_x", "ä"])
def test_an_unknown_session_is_not_found(send, session):
    assert code_of(send(request("ping"), session=session)) == (404, -32001)


def test_somebody_elses_session_is_not_found(send):
    session = initialize(send)

    assert send(request("ping"), session=session).status_code == 200
    assert code_of(send(request("ping"), session=session, who="bob")) == (404, -32001)
    assert code_of(send(None, session=session, who="bob", method="DELETE")) == (404, -32001)
    assert send(request("ping"), session=session).status_code == 200


def test_a_session_opens_nothing_without_a_token(send):
    assert send(request("ping"), session=initialize(send), Authorization=None).status_code == 401


def test_deleting_a_session_ends_it(send):
    session = initialize(send)

    deleted = send(None, session=session, method="DELETE")

    assert (deleted.status_code, deleted.get_data()) == (204, b"")
    assert code_of(send(request("ping"), session=session)) == (404, -32001)
    assert code_of(send(None, session=session, method="DELETE")) == (404, -32001)


def test_there_is_nothing_to_get_or_to_delete_without_a_session(send):
    session = initialize(send)

    assert send(None, method="DELETE").status_code == 405
    assert send(None, method="GET").status_code == 405
    assert send(None, method="PUT", session=session).status_code == 405


def test_an_idle_session_is_not_found_any_more(send, clock):
    session = initialize(send)
    clock.now += IDLE_SECONDS - 1
    assert send(request("ping"), session=session).status_code == 200

    clock.now += IDLE_SECONDS

    assert code_of(send(request("ping"), session=session)) == (404, -32001)


def test_the_stateless_era_ignores_session_ids(send):
    envelope = {"io.modelcontextprotocol/protocolVersion": "2026-07-28", "io.modelcontextprotocol/clientCapabilities": {}}
    headers = {"MCP_Protocol_Version": "2026-07-28", "Mcp_Method": "server/discover"}

    assert send(request("server/discover", _meta=envelope), session="unknown", **headers).status_code == 200


# --- log levels ---


@pytest.mark.parametrize(
    ("level", "lines"), [(None, ["info", "error"]), ("debug", ["debug", "info", "error"]), ("error", ["error"])]
)
def test_the_session_remembers_the_log_level(send, level, lines):
    session = initialize(send)
    if level:
        assert send(request("logging/setLevel", level=level), session=session).get_json()["result"] == {}

    body = send(request("tools/call", name="log"), session=session).get_data(as_text=True)

    assert [line for line in ("debug", "info", "error") if f'"level":"{line}"' in body] == lines


# --- asking ---


def ask(send, session):
    """Call the tool that asks; answers the question and the rest of the stream."""
    chunks = iter(send(request("tools/call", name="ask"), session=session, buffered=False).response)
    return next_message(chunks), chunks


def test_a_question_goes_out_on_the_calls_own_stream_and_its_answer_comes_in_another_post(send, db):
    session = initialize(send)
    question, chunks = ask(send, session)
    assert (question["method"], question["params"]) == QUESTION

    reply = send({"jsonrpc": "2.0", "id": question["id"], "result": ACCEPT}, session=session)
    assert (reply.status_code, reply.get_data()) == (202, b"")

    result = next_message(chunks)
    assert (result["id"], result["result"]["content"][0]["text"]) == (1, "accept")
    assert next_message(chunks) is None
    assert db.query("SELECT id FROM mcp_asks") == []


def test_a_declined_question_is_an_error_of_the_tool(send):
    session = initialize(send)
    question, chunks = ask(send, session)

    send({"jsonrpc": "2.0", "id": question["id"], "error": {"code": -1, "message": "no"}}, session=session)

    assert next_message(chunks)["error"]["message"] == "The client declined to answer."


def test_an_answer_that_does_not_fit_is_refused(send):
    session = initialize(send)
    question, chunks = ask(send, session)

    send({"jsonrpc": "2.0", "id": question["id"], "result": {"action": "perhaps"}}, session=session)

    assert next_message(chunks)["error"]["code"] == -32602


def test_nobody_else_can_answer(send):
    session, other, bobs = initialize(send), initialize(send), initialize(send, who="bob")
    question, chunks = ask(send, session)
    reply = {"jsonrpc": "2.0", "id": question["id"], "result": {"action": "decline"}}

    assert code_of(send(reply)) == (400, -32600)
    assert code_of(send(reply, session=other)) == (400, -32600)
    assert code_of(send(reply, session=bobs, who="bob")) == (400, -32600)
    assert code_of(send({**reply, "id": "unknown"}, session=session)) == (400, -32600)

    send({**reply, "result": ACCEPT}, session=session)
    assert next_message(chunks)["result"]["content"][0]["text"] == "accept"
    assert code_of(send(reply, session=session)) == (400, -32600)


def test_an_ended_session_cancels_what_is_asked_in_it(send):
    session = initialize(send)
    _, chunks = ask(send, session)

    send(None, session=session, method="DELETE")

    assert next_message(chunks)["error"]["code"] == -32603


def test_a_cancelled_call_stops_asking(send, db):
    session = initialize(send)
    _, chunks = ask(send, session)

    send({"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": 1}}, session=session)

    assert next_message(chunks) is None
    assert db.query("SELECT id FROM mcp_asks") == []


def test_cancelling_in_one_session_leaves_the_same_id_in_another(send):
    session, other = initialize(send), initialize(send)
    _, chunks = ask(send, session)
    question, other_chunks = ask(send, other)

    send({"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": 1}}, session=session)

    assert next_message(chunks) is None
    send({"jsonrpc": "2.0", "id": question["id"], "result": ACCEPT}, session=other)
    assert next_message(other_chunks)["result"]["content"][0]["text"] == "accept"


def test_a_client_that_went_away_is_not_waited_for(bridge, send, db):
    response = send(request("tools/call", name="ask"), session=initialize(send), buffered=False)
    next_message(iter(response.response))
    assert len(db.query("SELECT id FROM mcp_asks")) == 1

    response.close()
    bridge._workers.shutdown()

    assert db.query("SELECT id FROM mcp_asks") == []


def test_nobody_waits_for_ever(send, monkeypatch):
    monkeypatch.setattr(mcp_sessions, "REPLY_SECONDS", 0)
    _, chunks = ask(send, initialize(send))

    assert next_message(chunks)["error"]["message"] == "Nobody answered in time."


def test_a_client_without_a_session_cannot_be_asked(send):
    assert "cannot be asked" in send(request("tools/call", name="ask")).get_json()["error"]["message"]


def test_expired_sessions_are_forgotten(db, vault):
    create_mcp_session(db, make_grant(db, vault, "alice"), "2025-11-25", {}, now=NOW - IDLE_SECONDS)

    purge_mcp_sessions(db, now=NOW)

    assert db.query("SELECT id_hash FROM mcp_sessions") == []
