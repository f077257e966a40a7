"""Clients of both eras that want to hear of changes, before servers of both eras that tell of them, through a whole Postern."""

from __future__ import annotations

import contextlib
import json
from types import SimpleNamespace

import pytest
from conftest import NOW
from grants import DAY, put_test_client
from house import Clock, House
from patience import wait_until
from server import MASTER_KEY
from telling_server import MODERN, NO_STREAM, SUBSCRIPTION, TELLS, TellingServer
from werkzeug.test import Client

import mcp_listen
import mcp_updates
import watches
from config import load_settings
from fetch import Fetcher
from store import mcp_sessions
from store.connections import Draft, insert_connection
from store.grants import put_grant
from store.members import insert_member
from store.profiles import insert_profile, list_feature_sets
from store.sessions import end_session, insert_session
from store.tokens import Lifetimes, mint_tokens
from store.upstreams import insert_upstream, set_enabled
from store.users import insert_user

OLDER = "2025-11-25"
ERAS = [OLDER, MODERN]
ONE, TWO = "note://1", "note://2"  # the second is not listed
PLANS = "personal-context://schedule"
PLAN = {"date": "2026-12-01", "workStatus": "working"}
ENVELOPE = {"protocolVersion": MODERN, "clientCapabilities": {}}
META = {f"io.modelcontextprotocol/{name}": value for name, value in ENVELOPE.items()}
UPDATED = "notifications/resources/updated"


HASTY = (
    (mcp_listen, "POLL_SECONDS", 0.02),
    (mcp_updates, "MARK_SECONDS", 0.02),
    (watches, "LOOK_SECONDS", 0.05),
    (watches, "FIRST_PAUSE", 0.05),
)


@pytest.fixture(scope="module", autouse=True)
def _hurry():
    with pytest.MonkeyPatch.context() as patch:
        for module, name, seconds in HASTY:
            patch.setattr(module, name, seconds)
        yield


@pytest.fixture(scope="module")
def build(tmp_path_factory):
    """Start a server of an era, and a Postern in which Alice has a connection to it; Bob has nothing."""
    with contextlib.ExitStack() as stack:

        def start(era=OLDER, capabilities=TELLS, draft=None):
            teller = TellingServer(era, capabilities)
            stack.enter_context(teller.server)
            place = f"127.0.0.1:{teller.server.port}"
            folder = tmp_path_factory.mktemp("postern")
            environ = {"MASTER_KEY": MASTER_KEY, "DATABASE_URL": f"sqlite:///{folder}/postern.db", "THREADS": "8"}
            settings = load_settings(environ | {"ALLOW_PRIVATE_UPSTREAMS": place}, dotenv=None)
            house = House(settings, Clock(NOW), fetch=Fetcher(frozenset({place})))
            stack.callback(house.close)
            kind = {"url": teller.server.url, "auth": "none", "seconds": 60, "inputs": {}}
            draft = draft or Draft("remote_http", "Notes", kind)
            return SimpleNamespace(teller=teller, house=house, alice=live(house, "alice", draft), bob=live(house, "bob", None))

        yield start


@pytest.fixture(scope="module", params=ERAS, ids=["an older server", "a newer server"])
def both(request, build):
    return build(request.param)


@pytest.fixture
def world(both):
    """Both eras, with nothing wanted yet and everybody just signed in."""
    return anew(both)


@pytest.fixture(scope="module")
def older(build):
    return build(OLDER)


@pytest.fixture
def refusing(older):
    return anew(older)


def anew(world):
    world.teller.wait(lambda teller: teller.wanted == [])
    world.teller.refused = set()
    wait_until(lambda: not len(world.house.gate.bridge._listeners))
    for who in (world.alice, world.bob):
        sign_in(world.house, who)
    return world


def live(house, name, draft):
    """A user with one connection, which is looked at, and a client that may use it."""
    state = house.gate.pages.extensions["postern"]
    with house.db.write() as run:
        user = insert_user(run, name, "no password", NOW)
        profile_id = insert_profile(run, user.id, "home", f"home-{name}", is_default=True, now=NOW)
        connection_id = insert_connection(run, state.vault, user.id, draft, NOW) if draft else None
        if draft:
            insert_member(run, profile_id, connection_id, "notes")
        if draft and draft.connector == "remote_http":
            insert_upstream(run, connection_id, "typed", None)
    put_test_client(house.db, f"client-{name}", NOW)
    if draft and draft.connector == "remote_http":
        assert house.gate.gateway.discovery.look_soon(connection_id, wait=10)
    with house.db.write() as run:
        grant_id = put_grant(run, profile_id, f"client-{name}", list_feature_sets(house.db, profile_id)[0].id, NOW)
    who = SimpleNamespace(gate=house.gate, user_id=user.id, connection_id=connection_id, grant_id=grant_id)
    sign_in(house, who)
    return who


def sign_in(house, who):
    with house.db.write() as run:
        who.session_id = insert_session(run, who.grant_id, f"{house.url}/mcp", "mcp", lifetime=DAY, now=NOW)
        who.token = mint_tokens(run, who.session_id, None, Lifetimes(DAY, DAY, DAY, 0), NOW).access_token
    who.session = None


def send(who, message=None, method="POST", **headers):
    usual = {"Authorization": f"Bearer {who.token}", "Accept": "application/json, text/event-stream"}
    session = {"Mcp-Session-Id": who.session} if who.session else {}
    given = usual | session | {name.replace("_", "-"): value for name, value in headers.items()}
    return Client(who.gate).open("/mcp", method=method, json=message, headers=given, buffered=False)


def ask(who, method, /, **params):
    """A request of the handshake era."""
    return send(who, {"jsonrpc": "2.0", "id": 1, "method": method, "params": params})


def initialize(who, capabilities=None):
    info = {"name": "client", "version": "1"}
    capabilities = {"roots": {}} if capabilities is None else capabilities
    answer = ask(who, "initialize", protocolVersion=OLDER, capabilities=capabilities, clientInfo=info)
    who.session = answer.headers.get("Mcp-Session-Id")
    return answer.get_json()["result"]["capabilities"]


class Stream:
    """An open stream; a context that leaves it."""

    def __init__(self, response):
        assert response.status_code == 200, response.get_data()
        self.response, self.chunks = response, iter(response.response)

    def next(self):
        """The next message; None at the end. Fails if none comes."""
        for chunk in self.chunks:
            assert b"keep-alive" not in chunk, "nothing was said"
            if chunk.startswith(b"event: message\ndata: "):
                return json.loads(chunk.partition(b"data: ")[2])
        return None

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.response.close()


def ask_to_listen(who, *uris, identity=9, **kinds):
    wanted = kinds | ({"resourceSubscriptions": list(uris)} if uris else {})
    message = {
        "jsonrpc": "2.0",
        "id": identity,
        "method": "subscriptions/listen",
        "params": {"_meta": META, "notifications": wanted},
    }
    return send(who, message, MCP_Protocol_Version=MODERN, Mcp_Method="subscriptions/listen")


def listen(who, *uris, **more):
    """`subscriptions/listen`; what it is promised is in `promised`."""
    stream = Stream(ask_to_listen(who, *uris, **more))
    first = stream.next()
    assert first["method"] == "notifications/subscriptions/acknowledged"
    stream.promised = first["params"]["notifications"]
    return stream


def open_stream(who):
    return Stream(send(who, method="GET"))


def code_of(response):
    return response.status_code, response.get_json()["error"]["code"]


# --- clients of the stateless era ---


def test_a_newer_client_is_told_under_its_own_subscription_id_and_the_server_is_asked_once(world):
    before = world.teller.asked_for
    with listen(world.alice, ONE, identity=9) as first, listen(world.alice, ONE, identity="b") as second:
        assert first.promised == second.promised == {"resourceSubscriptions": [ONE]}
        assert (world.teller.wanted, world.teller.asked_for - before) == ([ONE], 1)

        world.teller.tell(ONE)

        for stream, identity in ((first, 9), (second, "b")):
            message = stream.next()
            assert (message["method"], message["params"]) == (UPDATED, {"_meta": {SUBSCRIPTION: identity}, "uri": ONE})
    world.teller.wait(lambda teller: teller.wanted == [])


def test_a_client_that_leaves_takes_only_its_own_wish_along(world):
    with listen(world.alice, TWO) as staying:
        with listen(world.alice, ONE, TWO) as leaving:
            assert leaving.promised == {"resourceSubscriptions": [ONE, TWO]}
            world.teller.wait(lambda teller: sorted(teller.wanted) == [ONE, TWO])
        world.teller.wait(lambda teller: teller.wanted == [TWO])
        world.teller.tell(ONE)
        world.teller.tell(TWO)
        assert staying.next()["params"]["uri"] == TWO
    world.teller.wait(lambda teller: teller.wanted == [])


def test_what_is_below_a_resource_is_told_of_and_what_is_beside_it_is_not(world):
    with listen(world.alice, ONE) as stream:
        world.teller.tell(ONE + "0")
        world.teller.tell(ONE + "/part")
        assert stream.next()["params"]["uri"] == ONE + "/part"


def test_only_what_its_server_agrees_to_is_promised(world):
    world.teller.refused = {TWO}
    with listen(world.alice, TWO, ONE) as stream:
        assert stream.promised == {"resourceSubscriptions": [ONE]}
        world.teller.tell(TWO)
        world.teller.tell(ONE)
        assert stream.next()["params"]["uri"] == ONE


@pytest.mark.parametrize("era", ERAS)
def test_a_server_that_does_not_say_that_it_tells_is_not_asked(build, era):
    world = build(era, {"resources": {}})
    with listen(world.alice, ONE, toolsListChanged=True) as stream:
        assert stream.promised == {"toolsListChanged": True}
    assert world.teller.asked_for == 0


def test_somebody_elses_resource_is_not_promised_nor_told(world):
    with listen(world.bob, ONE, promptsListChanged=True) as bobs, listen(world.alice, ONE) as alices:
        assert (bobs.promised, alices.promised) == ({"promptsListChanged": True}, {"resourceSubscriptions": [ONE]})
        world.teller.tell(ONE)
        assert alices.next()["method"] == UPDATED
        world.house.gate.bridge._listeners.stop()
        assert bobs.next()["result"]["resultType"] == "complete"


def test_a_connection_that_is_switched_off_is_no_longer_heard_and_heard_again_once_it_is_on(world):
    with listen(world.alice, ONE) as stream:
        set_enabled(world.house.db, world.alice.user_id, world.alice.connection_id, False)
        world.teller.wait(lambda teller: teller.wanted == [])
        set_enabled(world.house.db, world.alice.user_id, world.alice.connection_id, True)
        assert stream.next()["params"]["uri"] == ONE  # it may have changed meanwhile
        world.teller.tell(ONE)
        assert stream.next()["params"]["uri"] == ONE


def test_what_was_lost_is_asked_for_again_and_may_have_changed(world):
    with listen(world.alice, ONE) as stream:
        world.teller.break_streams()
        assert stream.next()["params"]["uri"] == ONE
        world.teller.wait(lambda teller: teller.streams)
        world.teller.tell(ONE)
        assert stream.next()["params"]["uri"] == ONE


def test_a_revoked_sign_in_ends_the_stream_and_what_it_wanted(world):
    with listen(world.alice, ONE) as stream:
        end_session(world.house.db, world.alice.user_id, world.alice.session_id, now=NOW)
        assert stream.next()["result"]["_meta"][SUBSCRIPTION] == 9
        assert stream.next() is None
        world.teller.wait(lambda teller: teller.wanted == [])


def test_a_server_without_a_stream_cannot_tell(build):
    world = build()
    world.teller.server.handlers["GET"] = NO_STREAM
    with listen(world.alice, ONE) as stream:
        assert stream.promised == {}


# --- clients of the handshake era ---


def test_an_older_client_is_told_on_the_stream_of_its_session(world):
    assert initialize(world.alice)["resources"] == {"listChanged": True, "subscribe": True}
    with open_stream(world.alice) as stream:
        assert ask(world.alice, "resources/subscribe", uri=ONE).get_json()["result"] == {}
        world.teller.wait(lambda teller: teller.wanted == [ONE])
        world.teller.tell(ONE)
        assert stream.next() == {"jsonrpc": "2.0", "method": UPDATED, "params": {"uri": ONE}}
        assert ask(world.alice, "resources/unsubscribe", uri=ONE).get_json()["result"] == {}
        world.teller.wait(lambda teller: teller.wanted == [])


def test_what_was_wanted_before_there_was_a_stream_is_seen_to_with_it(world):
    initialize(world.alice)
    assert ask(world.alice, "resources/subscribe", uri=TWO).status_code == 200
    assert world.teller.wanted == []
    with open_stream(world.alice) as stream:
        assert stream.next()["params"] == {"uri": TWO}  # it may have changed meanwhile
        assert world.teller.wanted == [TWO]
    world.teller.wait(lambda teller: teller.wanted == [])
    with open_stream(world.alice) as again:
        assert again.next()["params"] == {"uri": TWO}


def test_deleting_the_session_ends_its_stream(world):
    initialize(world.alice)
    with open_stream(world.alice) as stream:
        assert ask(world.alice, "resources/subscribe", uri=ONE).status_code == 200
        assert send(world.alice, method="DELETE").status_code == 204
        while (message := stream.next()) is not None:
            assert message["method"] == UPDATED
        world.teller.wait(lambda teller: teller.wanted == [])


def test_revoking_the_sign_in_ends_its_stream(world):
    initialize(world.alice)
    with open_stream(world.alice) as stream:
        end_session(world.house.db, world.alice.user_id, world.alice.session_id, now=NOW)
        assert stream.next() is None


def test_a_session_has_one_stream_at_a_time(world):
    initialize(world.alice)
    with open_stream(world.alice) as first:
        assert code_of(send(world.alice, method="GET")) == (409, -32600)
        assert ask(world.alice, "resources/subscribe", uri=ONE).status_code == 200
        world.teller.tell(ONE)
        assert first.next()["params"] == {"uri": ONE}
    with open_stream(world.alice) as again:
        assert again.next()["params"] == {"uri": ONE}


def test_a_stream_whose_process_has_died_is_in_nobodys_way_for_long(world):
    initialize(world.alice)
    session = world.house.gate.bridge._sessions.find(SimpleNamespace(grant_id=world.alice.grant_id), world.alice.session)
    stream_id = mcp_sessions.begin_stream(world.house.db, session, now=NOW)
    mcp_sessions.keep_stream(world.house.db, session.id_hash, stream_id, now=NOW + 1 - mcp_sessions.STREAM_SECONDS)
    assert code_of(send(world.alice, method="GET")) == (409, -32600)
    mcp_sessions.keep_stream(world.house.db, session.id_hash, stream_id, now=NOW - mcp_sessions.STREAM_SECONDS)
    with open_stream(world.alice):
        assert mcp_sessions.find_stream(world.house.db, session.id_hash)[0] != stream_id


def test_a_session_that_only_listens_stays_in_use(world):
    initialize(world.alice)
    with open_stream(world.alice):
        world.house.clock.forward(mcp_sessions.SEEN_EVERY_SECONDS)
        rows = "SELECT max(seen_at) AS seen_at FROM mcp_sessions"
        wait_until(lambda: world.house.db.query(rows)[0]["seen_at"] >= int(world.house.clock()))
    world.house.clock.forward(-mcp_sessions.SEEN_EVERY_SECONDS)


def test_an_older_client_hears_of_changed_lists(world):
    initialize(world.alice)
    with open_stream(world.alice) as stream:
        set_enabled(world.house.db, world.alice.user_id, world.alice.connection_id, False)
        assert stream.next() == {"jsonrpc": "2.0", "method": "notifications/resources/list_changed", "params": {}}


def test_stopping_the_server_ends_the_stream_of_a_session(world):
    initialize(world.alice)
    with open_stream(world.alice) as stream:
        world.house.gate.bridge.stop()
        assert stream.next() is None


# --- refusals ---


def test_what_nobody_has_or_tells_of_cannot_be_subscribed_to(refusing):
    initialize(refusing.alice)
    initialize(refusing.bob)
    refusing.teller.refused = {TWO}
    with open_stream(refusing.alice):
        assert ask(refusing.alice, "resources/subscribe", uri=ONE).get_json()["result"] == {}
        assert code_of(ask(refusing.alice, "resources/subscribe", uri=TWO)) == (200, -32002)
        assert ask(refusing.alice, "resources/subscribe", uri=ONE).get_json()["result"] == {}
    answer = ask(refusing.bob, "resources/subscribe", uri=ONE)
    assert (code_of(answer), answer.get_json()["error"]["data"]) == ((200, -32002), {"uri": ONE})


@pytest.mark.parametrize("era", ERAS)
def test_where_nobody_tells_it_is_neither_offered_nor_accepted(build, era):
    world = build(era, {"resources": {}})
    assert initialize(world.alice)["resources"] == {"listChanged": True}
    assert code_of(ask(world.alice, "resources/subscribe", uri=ONE)) == (200, -32002)


def test_a_client_without_a_session_is_offered_nothing_of_it(refusing):
    assert initialize(refusing.alice, {})["resources"] == {}
    for method in ("resources/subscribe", "resources/unsubscribe"):
        assert code_of(ask(refusing.alice, method, uri=ONE)) == (200, -32601)
    assert code_of(send(refusing.alice, method="GET")) == (405, -32600)


def test_only_the_session_of_the_caller_has_a_stream(refusing):
    initialize(refusing.alice)
    refusing.bob.session = refusing.alice.session
    assert code_of(send(refusing.bob, method="GET")) == (404, -32001)
    for accept in ("application/json", "text/event-stream;q=0", "*/*, text/event-stream;q=0.0"):
        assert code_of(send(refusing.alice, method="GET", Accept=accept)) == (406, -32600)
    refusing.alice.session = "mcp_ms_unknown"
    assert code_of(send(refusing.alice, method="GET")) == (404, -32001)


def test_so_many_streams_and_no_more(refusing):
    initialize(refusing.alice)
    with listen(refusing.bob, toolsListChanged=True) as first, listen(refusing.bob, toolsListChanged=True):
        assert code_of(send(refusing.alice, method="GET")) == (405, -32600)
        assert code_of(ask_to_listen(refusing.bob, toolsListChanged=True)) == (503, -32603)
        first.response.close()
        with open_stream(refusing.alice):
            assert code_of(send(refusing.alice, method="GET")) == (405, -32600)


def test_so_many_subscriptions_and_no_more(refusing, monkeypatch):
    monkeypatch.setattr(mcp_sessions, "SUBSCRIPTIONS_MAX", 1)
    initialize(refusing.alice)
    for uri, answer in ((ONE, {}), (ONE, {})):
        assert ask(refusing.alice, "resources/subscribe", uri=uri).get_json()["result"] == answer
    assert code_of(ask(refusing.alice, "resources/subscribe", uri=TWO)) == (200, -32603)
    assert ask(refusing.alice, "resources/unsubscribe", uri=ONE).get_json()["result"] == {}
    assert ask(refusing.alice, "resources/subscribe", uri=TWO).get_json()["result"] == {}


# --- resources of ours ---


def test_a_resource_of_ours_is_told_of_if_its_connector_can_say(build):
    world = build(draft=Draft("personal_context", "Mine", {}))
    with listen(world.alice, "personal-context://status/today", PLANS) as stream:
        assert stream.promised == {"resourceSubscriptions": [PLANS]}
        plan = {"name": "status_schedule_set", "arguments": PLAN}
        answer = ask(world.alice, "tools/call", **plan).get_json()["result"]
        assert not answer.get("isError"), answer
        assert stream.next()["params"]["uri"] == PLANS
