"""The pool of sessions: who shares one, what a failing server costs, and what is ended when."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Mapping
from itertools import pairwise
from typing import Any

import pytest
from conftest import NOW
from fake_upstream import END, FakeUpstream, Handler, modern, named, older
from raw_server import plain
from test_upstream_http import CALL, DONE, Key
from test_upstream_sse import FakeSse

import upstream
import upstream_levels
from accounts import add_account
from errors import Cancelled, SignInNeeded, ToolError, UpstreamError, UpstreamRefused
from fetch import Fetcher
from joining import join
from links import Greeting, HttpTarget, StdioTarget
from store.connections import Connection, Draft, delete_connection, get_connection, insert_connection, update_connection
from store.profiles import list_profiles
from store.upstreams import set_enabled
from tools import Call
from upstream import Upstreams, declare
from upstream_endpoint import Unreachable
from upstream_levels import BriefCall
from upstream_opener import Opener


class FakeLink:
    """A session that answers what it was opened with."""

    greeting = Greeting("2025-11-25", False, {}, {"name": "fake"})

    def __init__(self, opened: tuple[Any, ...]):
        self.opened, self.is_alive, self.closed, self.tidied = opened, True, 0, 0
        self.act: Callable[[Call], Any] = lambda call: DONE
        self.told: list[str] = []
        self.levels: list[str] = []

    def request(self, method: str, params: Mapping[str, Any], call: Call) -> Any:
        if method == "logging/setLevel":
            self.levels.append(params["level"])
        return self.act(call)

    def notify(self, method: str, params: Mapping[str, Any]) -> None:
        self.told.append(method)

    def close(self) -> None:
        self.closed += 1
        self.is_alive = False

    def close_idle(self) -> None:
        self.tidied += 1


class FakeOpener:
    """Opens fake links, or does what `act` does."""

    def __init__(self) -> None:
        self.links: list[FakeLink] = []
        self.forgotten: list[str] = []
        self.act: Callable[[], None] = lambda: None

    def forget(self, owner: str) -> None:
        self.forgotten.append(owner)

    def open(self, *opened: Any) -> FakeLink:
        self.act()
        self.links.append(FakeLink(opened))
        return self.links[-1]


class Asker(Call):
    """A caller who can be asked this."""

    def __init__(self, **capabilities: Any):
        super().__init__()
        self._capabilities = capabilities

    @property
    def capabilities(self) -> Mapping[str, Any]:
        return self._capabilities


class Clock:
    """Time that a test moves."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def connection(identity: str = "c1", connector: str = "remote_http", *, updated_at: int = 1, **settings: Any) -> Connection:
    """A connection as the database would have it."""
    return Connection(identity, "alice", connector, identity, settings, frozenset(), 1, updated_at)


@pytest.fixture
def opener() -> FakeOpener:
    return FakeOpener()


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def heard() -> list[Any]:
    return []


@pytest.fixture
def pool(db, vault, opener, clock, heard) -> Iterator[Upstreams]:
    def hear(connection_id: str, method: str, params: Mapping[str, Any]) -> None:
        heard.append((connection_id, method))

    def find_target(connector: str, settings: Mapping[str, Any], secrets: Mapping[str, str]) -> HttpTarget:
        if "url" not in settings and connector == "remote_http" and settings.get("broken"):
            raise ToolError("The value “url” is missing.")
        return HttpTarget(settings.get("url", "http://a/"), secrets)

    pool = Upstreams(db, vault, opener, hear=hear, find_target=find_target, clock=clock)
    yield pool
    pool.stop()


def fail(error: Exception) -> Callable[..., Any]:
    """What raises this."""

    def act(*_: Any) -> Any:
        raise error

    return act


# --- who shares a session ---


def test_a_session_is_opened_once_and_used_again(pool, opener, heard):
    one = connection()
    assert [pool.request(one, "tools/call", CALL, Call()) for _ in range(3)] == [DONE] * 3
    assert pool.greeting(one, Call()) is FakeLink.greeting
    assert pool.greeting(one) is FakeLink.greeting
    pool.notify(one, "notifications/x", {})
    kind, target, owner, declared, hear, authorizer = opener.links[0].opened
    assert (len(opener.links), opener.links[0].told) == (1, ["notifications/x"])
    assert (kind, target.url, owner, declared, authorizer) == ("remote_http", "http://a/", "c1", {}, None)
    hear("notifications/tools/list_changed", {})
    assert heard == [("c1", "notifications/tools/list_changed")]


def test_each_connection_and_each_kind_of_caller_has_its_own(pool, opener):
    for one, call in [
        (connection(), Call()),
        (connection("c2"), Call()),
        (connection(), Asker(elicitation={})),
        (connection(), Asker(elicitation={"url": {}}, roots={"listChanged": True}, experimental={"x": {}})),
        (connection(), Asker(elicitation={"url": {"any": 1}, "evil": {}}, roots={})),
        (connection(), Asker(sampling={"tools": {}})),
    ]:
        pool.request(one, "tools/call", CALL, call)
    assert [(link.opened[2], link.opened[3]) for link in opener.links] == [
        ("c1", {}),
        ("c2", {}),
        ("c1", {"elicitation": {}}),
        ("c1", {"elicitation": {"url": {}}, "roots": {}}),
        ("c1", {"sampling": {"tools": {}}}),
    ]


def test_callers_of_a_server_of_the_stateless_era_share_one(pool, opener, monkeypatch):
    monkeypatch.setattr(FakeLink, "greeting", Greeting("2026-07-28", True, {}, {"name": "fake"}))
    for call in (Call(), Asker(elicitation={}), Asker(roots={})):
        pool.request(connection(), "tools/call", CALL, call)
    assert len(opener.links) == 1


@pytest.mark.parametrize("odd", [None, "x", [], 5, True])
def test_a_capability_that_is_none_is_not_passed_on(odd):
    assert declare({"elicitation": odd, "roots": {}}) == {"roots": {}}


def test_secrets_go_to_their_own_connection_only(pool, opener, db, vault):
    user = add_account(db, vault, "alice", "a fine long password", now=NOW)
    ids = []
    for name in ("one", "two"):
        with db.write() as run:
            draft = Draft("remote_http", name, {"url": f"http://{name}/"}, {"api_key": f"key-of-{name}"})
            ids.append(insert_connection(run, vault, user.id, draft, NOW))
    for identity in ids:
        pool.request(get_connection(db, user.id, identity), "ping", {}, Call())
    sent = [(link.opened[1].url, dict(link.opened[1].headers)) for link in opener.links]
    assert sent == [("http://one/", {"api_key": "key-of-one"}), ("http://two/", {"api_key": "key-of-two"})]


def test_a_new_secret_does_not_go_to_an_old_address(pool, opener, db, vault):
    user = add_account(db, vault, "alice", "a fine long password", now=NOW)
    with db.write() as run:
        identity = insert_connection(run, vault, user.id, Draft("remote_http", "one", {"url": "http://old/"}), NOW)
    before = get_connection(db, user.id, identity)  # as a request has it that began before the change
    after = Draft("remote_http", "one", {"url": "http://new/"}, {"api_key": "new"})
    with db.write() as run:
        update_connection(run, vault, user.id, identity, after, NOW)
    with pytest.raises(ToolError, match=r"^This connection was changed a moment ago\. Please try again\.$"):
        pool.request(before, "ping", {}, Call())
    assert opener.links == []
    pool.request(get_connection(db, user.id, identity), "ping", {}, Call())  # at once: nobody failed to reach its server
    (link,) = opener.links
    assert (link.opened[1].url, link.opened[1].headers) == ("http://new/", {"api_key": "new"})


def test_a_changed_connection_gets_a_new_session_and_the_old_one_ends_after_its_last_user(pool, opener):
    pool.request(connection(), "ping", {}, Call())
    pool.request(connection(updated_at=2), "ping", {}, Call())
    assert [link.closed for link in opener.links] == [1, 0]
    started, go_on = threading.Event(), threading.Event()

    def slow(call: Call) -> Any:
        started.set()
        assert go_on.wait(5)
        return DONE

    opener.links[1].act = slow
    results: list[Any] = []
    thread = threading.Thread(target=lambda: results.append(pool.request(connection(updated_at=2), "ping", {}, Call())))
    thread.start()
    assert started.wait(5)
    pool.request(connection(updated_at=2, url="http://b/"), "ping", {}, Call())
    assert [link.closed for link in opener.links] == [1, 0, 0]
    pool.drop("c1")
    assert [link.closed for link in opener.links] == [1, 0, 1]
    go_on.set()
    thread.join()
    assert ([link.closed for link in opener.links], results) == ([1, 1, 1], [DONE])


def keep(db, vault, *names: str) -> list[Connection]:
    """Alice's connections of these names, in the database."""
    user = add_account(db, vault, "alice", "a fine long password", now=NOW)
    profile = list_profiles(db, user.id)[0]
    with db.write() as run:
        ids = [join(run, vault, profile, Draft("remote_http", name, {}, {"api_key": "old"}), NOW) for name in names]
    return [get_connection(db, user.id, identity) for identity in ids]


def test_a_changed_secret_alone_and_within_the_same_second_is_enough(pool, opener, db, vault):
    (one,) = keep(db, vault, "one")
    pool.request(one, "ping", {}, Call())
    with db.write() as run:
        update_connection(run, vault, one.user_id, one.id, Draft("remote_http", "one", {}, {"api_key": "new"}), NOW)
    pool.request(get_connection(db, one.user_id, one.id), "ping", {}, Call())
    assert [(link.opened[1].headers["api_key"], link.closed) for link in opener.links] == [("old", 1), ("new", 0)]
    pool.request(one, "ping", {}, Call())  # one who still holds what was read before
    assert len(opener.links) == 2


def test_what_another_process_changed_ends_here_too(pool, opener, db, vault):
    kept, changed, off, deleted = connections = keep(db, vault, "kept", "changed", "off", "deleted")
    for one in connections:
        pool.request(one, "ping", {}, Call())
    pool.catch_up()
    assert [link.closed for link in opener.links] == [0, 0, 0, 0]
    user_id = kept.user_id
    with db.write() as run:
        update_connection(run, vault, user_id, changed.id, Draft("remote_http", "changed", {}, {"api_key": "new"}), NOW)
    set_enabled(db, user_id, off.id, False)
    delete_connection(db, user_id, deleted.id)
    pool.catch_up()
    assert [link.closed for link in opener.links] == [0, 1, 1, 1]
    assert opener.forgotten == [deleted.id]
    pool.request(kept, "ping", {}, Call())
    pool.request(get_connection(db, user_id, changed.id), "ping", {}, Call())
    pool.catch_up()
    assert [link.closed for link in opener.links] == [0, 1, 1, 1, 0]


def test_a_deleted_connection_is_forgotten_once_its_sessions_are_told_to_end(pool, opener):
    pool.request(connection(), "ping", {}, Call())
    pool.forget("c1")
    assert ([link.closed for link in opener.links], opener.forgotten) == ([1], ["c1"])


def test_what_is_tried_belongs_to_nobody_and_leaves_nothing(pool, opener):
    for _ in range(2):
        pool.greet("stdio", StdioTarget("true"))
    opener.act = fail(UpstreamError("The command was not found."))
    with pytest.raises(UpstreamError):
        pool.greet("stdio", StdioTarget("true"))
    owners = [link.opened[2] for link in opener.links]
    assert opener.forgotten[:2] == owners
    assert len(set(opener.forgotten)) == 3


def test_a_dead_session_is_replaced(pool, opener):
    pool.request(connection(), "ping", {}, Call())
    opener.links[0].is_alive = False
    assert pool.request(connection(), "ping", {}, Call()) == DONE
    assert [link.closed for link in opener.links] == [1, 0]


def test_so_many_sessions_and_no_more(pool, opener, monkeypatch, clock):
    monkeypatch.setattr(upstream, "MAX_SESSIONS", 2)
    calls = [Asker(), Asker(roots={}), Asker(sampling={})]
    for call in calls:
        clock.now += 1
        pool.request(connection(), "ping", {}, call)
    assert [link.closed for link in opener.links] == [1, 0, 0]
    for link in opener.links[1:]:
        link.act = lambda call: pool.request(connection(), "ping", {}, calls[2 if call is calls[1] else 0])
    with pytest.raises(UpstreamError, match="Too many different assistants"):
        pool.request(connection(), "ping", {}, calls[1])


def test_many_threads_open_one_session(pool, opener):
    opener.act = lambda: time.sleep(0.1)
    threads = [threading.Thread(target=pool.request, args=(connection(), "ping", {}, Call())) for _ in range(10)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(opener.links) == 1


# --- which log lines a server is asked for ---


class Reader(Call):
    """A caller who has chosen a log level."""

    def __init__(self, level: str | None):
        super().__init__()
        self._level = level

    @property
    def chosen_log_level(self) -> str | None:
        return self._level


def logging_greeting(is_modern: bool = False, **capabilities: Any) -> Greeting:
    return Greeting("2025-11-25", is_modern, {"logging": {}} | capabilities, {"name": "fake"})


@pytest.mark.parametrize(
    ("chosen", "told"),
    [
        ([None, None], []),
        (["debug", "debug", None, "info"], ["debug"]),
        (["error", None, "error"], ["info"]),  # whoever has chosen none still gets what is usual
        (["notice", "info", "debug", "error"], ["info", "debug"]),
    ],
)
def test_a_server_is_told_the_lowest_level_that_anybody_has_chosen(pool, opener, monkeypatch, chosen, told):
    monkeypatch.setattr(FakeLink, "greeting", logging_greeting())
    for level in chosen:
        pool.request(connection(), "tools/call", CALL, Reader(level))
    assert [link.levels for link in opener.links] == [told]


@pytest.mark.parametrize("greeting", [logging_greeting(is_modern=True), Greeting("2025-11-25", False, {"tools": {}}, {})])
def test_one_that_has_no_such_level_is_told_none(pool, opener, monkeypatch, greeting):
    monkeypatch.setattr(FakeLink, "greeting", greeting)
    pool.request(connection(), "tools/call", CALL, Reader("debug"))
    assert opener.links[0].levels == []


def test_one_that_has_begun_anew_is_told_again(pool, opener, monkeypatch):
    monkeypatch.setattr(FakeLink, "greeting", logging_greeting())
    pool.request(connection(), "tools/call", CALL, Reader("debug"))
    opener.links[0].greeting = logging_greeting()
    for _ in range(2):
        pool.request(connection(), "tools/call", CALL, Reader("debug"))
    assert opener.links[0].levels == ["debug", "debug"]


@pytest.mark.parametrize("error", [UpstreamRefused(-32601, "no"), UpstreamError("No answer in time.")])
def test_a_call_goes_on_if_the_level_is_refused(pool, opener, monkeypatch, error):
    monkeypatch.setattr(FakeLink, "greeting", logging_greeting())
    pool.request(connection(), "ping", {}, Call())
    answers = iter([fail(error), lambda call: DONE, lambda call: DONE])

    def act(call: Call) -> Any:
        return next(answers)(call)

    opener.links[0].act = act
    assert pool.request(connection(), "tools/call", CALL, Reader("debug")) == DONE
    assert pool.request(connection(), "tools/call", CALL, Reader("debug")) == DONE
    assert opener.links[0].levels == ["debug"]


def test_of_two_who_choose_at_the_same_moment_the_lower_level_stays(pool, opener, monkeypatch):
    monkeypatch.setattr(FakeLink, "greeting", logging_greeting())
    pool.request(connection(), "ping", {}, Call())
    other = threading.Thread(target=pool.request, args=(connection(), "tools/call", CALL, Reader("debug")))

    class Levels(tuple):
        def index(self, level: str) -> int:  # in the middle of the first one's choice
            if other.ident is None:
                other.start()
                other.join(0.1)
            return super().index(level)

    monkeypatch.setattr(upstream_levels, "LOG_LEVELS", Levels(upstream_levels.LOG_LEVELS))
    pool.request(connection(), "tools/call", CALL, Reader("info"))
    other.join()
    assert opener.links[0].levels[-1] == "debug"


def silent_about_levels(call: Call, until: Callable[[], bool] = lambda: False) -> Any:
    """A server that never answers `logging/setLevel`, as a link waits for one."""
    while isinstance(call, BriefCall) and not until():
        call.check_cancelled()
        time.sleep(0.001)
    return DONE


def test_a_server_that_is_silent_about_its_level_holds_no_call_up_for_long(pool, opener, monkeypatch):
    monkeypatch.setattr(FakeLink, "greeting", logging_greeting())
    monkeypatch.setattr(upstream_levels, "ANSWER_SECONDS", 0.01)
    pool.request(connection(), "ping", {}, Call())
    opener.links[0].act = silent_about_levels
    assert pool.request(connection(), "tools/call", CALL, Reader("debug")) == DONE
    assert opener.links[0].levels == ["debug"]


def test_who_waits_for_a_level_can_give_up(pool, opener, monkeypatch):
    monkeypatch.setattr(FakeLink, "greeting", logging_greeting())
    pool.request(connection(), "ping", {}, Call())
    link, gone = opener.links[0], threading.Event()
    asked = threading.Event()

    def act(call: Call) -> Any:
        asked.set()
        return silent_about_levels(call, gone.is_set)

    link.act, first, second = act, Reader("info"), Reader("debug")
    other = threading.Thread(target=pool.request, args=(connection(), "tools/call", CALL, first))
    other.start()
    assert asked.wait(5)
    second.cancelled.set()
    with pytest.raises(Cancelled):  # while the first one still waits for the server
        pool.request(connection(), "tools/call", CALL, second)
    assert link.levels == ["info"]
    gone.set()
    other.join()
    link.act, third = lambda call: silent_about_levels(call, third.cancelled.set), Reader("debug")
    with pytest.raises(Cancelled):
        pool.request(connection(), "tools/call", CALL, third)


def test_a_call_that_comes_late_begins_nothing_for_a_connection_that_was_deleted(pool, opener):
    with pool.lend(connection(), Call()):  # a call is under way, and comes to its end
        pool.forget("c1")
        with pytest.raises(UpstreamError, match=r"^This connection was deleted\.$"):
            pool.request(connection(), "ping", {}, Call())
        assert [link.closed for link in opener.links] == [0]
    assert [link.closed for link in opener.links] == [1]
    pool.request(connection("c2"), "ping", {}, Call())
    assert len(opener.links) == 2


def test_a_session_that_is_slow_to_close_delays_no_other(pool, opener, clock, monkeypatch):
    both = threading.Barrier(2, timeout=10)  # breaks if they come one after the other
    monkeypatch.setattr(FakeLink, "close", lambda link: both.wait())
    for identity in ("c1", "c2"):
        pool.request(connection(identity), "ping", {}, Call())
    clock.now += upstream.IDLE_SECONDS + 1
    pool.tidy()
    assert not both.broken


# --- servers that fail ---


def test_a_server_that_cannot_be_reached_is_left_alone_for_longer_each_time(pool, opener, clock):
    began, tries = clock.now, []

    def away() -> None:
        tries.append(clock.now - began)
        raise UpstreamError("The server is away.")

    opener.act = away
    for _ in range(200):
        with pytest.raises(UpstreamError, match=r"^The server is away\.$"):
            pool.request(connection(), "ping", {}, Call())
        clock.now += 1
    assert [after - before for before, after in pairwise(tries)] == [1, 2, 4, 8, 16, 32, 60, 60]


def test_a_session_whose_server_went_away_is_left_alone_too(pool, opener, clock):
    pool.request(connection(), "ping", {}, Call())
    opener.links[0].act = fail(Unreachable("Gone."))
    with pytest.raises(Unreachable):
        pool.request(connection(), "ping", {}, Call())
    opener.links[0].act = lambda call: DONE
    with pytest.raises(UpstreamError, match=r"^Gone\.$"):
        pool.request(connection(), "ping", {}, Call())
    clock.now += 1.1
    assert pool.request(connection(), "ping", {}, Call()) == DONE
    assert len(opener.links) == 1


def test_one_break_that_ends_many_calls_counts_once(pool, opener, clock):
    pool.request(connection(), "ping", {}, Call())
    together = threading.Barrier(8)

    def broken(call: Call) -> Any:
        together.wait(5)
        raise Unreachable("Gone.")

    opener.links[0].act = broken
    threads = [threading.Thread(target=attempt, args=(pool,)) for _ in range(together.parties)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    opener.links[0].act = lambda call: DONE
    clock.now += 1.1
    assert pool.request(connection(), "ping", {}, Call()) == DONE


def test_a_call_that_began_before_a_server_was_left_alone_says_nothing_new(pool, opener, clock):
    pool.request(connection(), "ping", {}, Call())

    def fail_after_another(call: Call) -> Any:
        opener.links[0].act = fail(Unreachable("Gone."))
        attempt(pool)
        clock.now += 1.1
        raise Unreachable("Gone.")

    opener.links[0].act = fail_after_another
    attempt(pool)
    opener.links[0].act = lambda call: DONE
    assert pool.request(connection(), "ping", {}, Call()) == DONE


def attempt(pool: Upstreams) -> None:
    """A call that fails."""
    with pytest.raises(UpstreamError):
        pool.request(connection(), "ping", {}, Call())


@pytest.mark.parametrize("error", [SignInNeeded("Sign in."), ToolError("Something is missing.")])
def test_what_a_person_can_mend_is_tried_again_at_once(pool, opener, error):
    opener.act = fail(error)
    with pytest.raises(type(error)):
        pool.request(connection(), "ping", {}, Call())
    opener.act = lambda: None
    assert pool.request(connection(), "ping", {}, Call()) == DONE


def test_an_error_of_one_call_is_no_reason_to_leave_a_server_alone(pool, opener):
    pool.request(connection(), "ping", {}, Call())
    opener.links[0].act = fail(UpstreamError("No answer in time."))
    for _ in range(2):
        with pytest.raises(UpstreamError, match="No answer in time"):
            pool.request(connection(), "ping", {}, Call())
    opener.links[0].act = lambda call: DONE
    assert pool.request(connection(), "ping", {}, Call()) == DONE
    assert len(opener.links) == 1


def test_a_person_who_changes_the_connection_need_not_wait(pool, opener):
    opener.act = fail(UpstreamError("Away."))
    with pytest.raises(UpstreamError):
        pool.request(connection(), "ping", {}, Call())
    opener.act = lambda: None
    assert pool.request(connection(updated_at=2), "ping", {}, Call()) == DONE


def test_a_slow_server_delays_no_other_and_those_who_wait_for_it_may_leave(pool, opener):
    inside, go_on = threading.Event(), threading.Event()
    opener.act = lambda: (inside.set(), go_on.wait(5))
    first = threading.Thread(target=pool.request, args=(connection(), "ping", {}, Call()))
    first.start()
    assert inside.wait(5)
    opener.act = lambda: None
    started = time.monotonic()
    assert pool.request(connection("c2"), "ping", {}, Call()) == DONE
    impatient = Call()
    threading.Timer(0.1, impatient.cancelled.set).start()
    with pytest.raises(Cancelled):
        pool.request(connection(), "ping", {}, impatient)
    assert time.monotonic() - started < 3
    go_on.set()
    first.join()


def test_what_is_missing_is_said(pool):
    with pytest.raises(ToolError, match=r"^The value “url” is missing\.$"):
        pool.request(connection(broken=True), "ping", {}, Call())


# --- housekeeping ---


def test_what_was_idle_for_long_is_ended(pool, opener, clock):
    pool.request(connection(), "ping", {}, Call())
    clock.now += 200
    pool.request(connection("c2"), "ping", {}, Call())
    pool.tidy()
    assert [(link.closed, link.tidied) for link in opener.links] == [(0, 1), (0, 1)]
    clock.now += 200
    pool.tidy()
    assert [(link.closed, link.tidied) for link in opener.links] == [(1, 1), (0, 2)]
    pool.request(connection(), "ping", {}, Call())
    assert len(opener.links) == 3


def test_what_is_in_use_is_never_idle(pool, opener, clock):
    pool.request(connection(), "ping", {}, Call())

    def long(call: Call) -> Any:
        clock.now += 10_000
        pool.tidy()
        return DONE

    opener.links[0].act = long
    pool.request(connection(), "ping", {}, Call())
    assert opener.links[0].closed == 0


def test_stopping_ends_everything(pool, opener):
    pool.request(connection(), "ping", {}, Call())
    pool.request(connection("c2"), "ping", {}, Call())
    pool.stop()
    assert [link.closed for link in opener.links] == [1, 1]
    with pytest.raises(UpstreamError, match="going down"):
        pool.request(connection(), "ping", {}, Call())


# --- the ways out ---


@pytest.fixture
def run() -> Iterator[Callable[[Any], Any]]:
    """Start a server."""
    running = []

    def start(server: Any) -> Any:
        running.append(server.__enter__())
        return server

    yield start
    for server in running:
        server.__exit__()


def real_pool(db: Any, vault: Any, *servers: FakeUpstream, **options: Any) -> Upstreams:
    fetch = Fetcher(frozenset(f"127.0.0.1:{server.port}" for server in servers))
    return Upstreams(db, vault, Opener(fetch, **options.pop("opener", {})), **options)


@pytest.mark.parametrize("handlers", [modern, older])
def test_streamable_http_is_spoken_to_in_its_era(db, vault, run, handlers):
    server = run(FakeUpstream(handlers(tools__call=lambda asked: asked.result(DONE))))
    pool = real_pool(db, vault, server, authorizer=lambda connection: Key("token-of-" + connection.id))
    assert pool.request(connection(url=server.url), "tools/call", CALL, Call()) == DONE
    assert {asked.headers["authorization"] for asked in server.asked} == {"Bearer token-of-c1"}
    found = pool.greet("remote_http", HttpTarget(server.url))
    assert found["server"]["name"] in ("fake", "old")
    assert "authorization" not in server.asked[-1].headers
    pool.stop()


def test_the_schema_of_a_tool_is_asked_for_by_connection(db, vault, run):
    server = run(FakeUpstream(modern()))
    schema = {"type": "object", "properties": {"a": {"type": "string", "x-mcp-header": "A"}}}
    find_schema = lambda owner, name: schema if (owner, name) == ("c1", "t") else None  # noqa: E731
    pool = real_pool(db, vault, server, opener={"find_schema": find_schema})
    pool.request(connection(url=server.url), "tools/call", {"name": "t", "arguments": {"a": "b"}}, Call())
    assert server.asked[-1].headers["mcp-param-a"] == "b"
    pool.stop()


@pytest.mark.parametrize("connector", ["remote_sse", "remote_http"])
def test_a_server_of_2024_is_found_by_either_kind(db, vault, run, connector):
    server = FakeSse(tools__call=lambda asked: [{"jsonrpc": "2.0", "id": asked.message["id"], "result": DONE}])
    server.answer = lambda raw, sock: server.serve(sock)
    refuse: Handler = lambda asked: plain(b"", "405 Method Not Allowed") if asked.path == "/mcp" else server.hear(asked)  # noqa: E731
    server.handlers |= named({"server__discover": refuse, "initialize": refuse})
    run(server)
    pool = real_pool(db, vault, server)
    assert pool.request(connection("c1", connector, url=server.url), "tools/call", CALL, Call()) == DONE
    pool.stop()


def test_a_server_of_neither_kind_is_told_as_the_newer_one(db, vault, run):
    server = run(FakeUpstream({"server/discover": plain(b"", "404 No"), "initialize": plain(b"", "404 No"), "GET": plain(END)}))
    pool = real_pool(db, vault, server)
    with pytest.raises(UpstreamError, match=r"^The server has nothing at this address \(status 404\)\.$"):
        pool.request(connection(url=server.url), "tools/call", CALL, Call())
    assert server.asked[-1].verb == "GET"


def test_no_command_runs_where_none_is_allowed(db, vault):
    pool = real_pool(db, vault, find_target=lambda *_: StdioTarget("true"))
    with pytest.raises(UpstreamError, match="ALLOW_STDIO"):
        pool.request(connection("c1", "stdio"), "ping", {}, Call())
