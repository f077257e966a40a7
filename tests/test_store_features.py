"""store/features.py, store/looks.py, store/members.py and store/profile_features.py: what is kept, and whose it is."""

from __future__ import annotations

from collections.abc import Iterable

import pytest
from conftest import NOW
from gateway_house import GatewayHouse

from accounts import add_account
from crypto import Vault
from db import Database
from errors import InvalidInput, NotFound
from joining import join
from store import features as module
from store.connections import Draft
from store.features import Feature, Found, accept_features, confirm_reads, list_features, save_features
from store.looks import list_looks, set_changes
from store.members import add_member, delete_member, list_members, move_member, set_prefix
from store.profile_features import Change, list_changes, put_change, set_enabled_features
from store.profiles import create_profile, delete_profile, find_profile_by_slug, list_profiles, rename_profile


@pytest.fixture
def house(db: Database, vault: Vault) -> GatewayHouse:
    return GatewayHouse(db, vault)


@pytest.fixture
def connection(house: GatewayHouse) -> str:
    return connect(house, "One")


def connect(house: GatewayHouse, name: str) -> str:
    with house.db.write() as run:
        return join(run, house.vault, house.home, Draft("remote_http", name, {"url": "https://one.example/mcp"}), NOW)


def tools(*names: str, **more: object) -> list[Found]:
    return [Found("tool", name, {"name": name, "inputSchema": {"type": "object"}} | more) for name in names]


def save(house: GatewayHouse, connection: str, found: Iterable[Found], now: int = NOW) -> bool:
    return save_features(house.db, connection, ["tool"], found, [], now=now)


def one(house: GatewayHouse, connection: str, name: str = "a") -> Feature:
    (found,) = [item for item in list_features(house.db, connection) if item.name == name]
    return found


def test_the_first_look_counts_as_accepted_and_later_ones_do_not(house: GatewayHouse, connection: str):
    assert save(house, connection, tools("a")) is True
    assert save(house, connection, tools("a", "b"), NOW + 5) is True
    assert save(house, connection, tools("a", "b"), NOW + 9) is False
    first, second = list_features(house.db, connection)
    assert (first.is_new, second.is_new) == (False, True)
    assert (first.first_seen_at, first.last_seen_at, second.first_seen_at) == (NOW, NOW + 9, NOW + 5)


@pytest.mark.parametrize(
    ("changes", "changed", "new"), [("hold", "old", "new"), ("hold_new", "old", None), ("follow", "newer", "new")]
)
def test_what_is_served_follows_the_rule_about_changes(
    house: GatewayHouse, connection: str, changes: str, changed: str, new: str | None
):
    save(house, connection, tools("a", title="old"))
    save(house, connection, [*tools("a", title="newer"), *tools("b", title="new")])
    first, second = list_features(house.db, connection)
    assert (first.is_changed, second.is_changed, second.is_new) == (True, False, True)
    assert first.served(changes)["title"] == changed
    assert (second.served(changes) or {}).get("title") == new


def test_a_change_stays_a_change_however_often_it_is_seen(house: GatewayHouse, connection: str):
    save(house, connection, tools("a", title="old"))
    for _ in range(3):
        save(house, connection, tools("a", title="newer"))
    assert one(house, connection).served("hold")["title"] == "old"
    assert one(house, connection).is_changed
    save(house, connection, tools("a", title="old"))
    assert not one(house, connection).is_changed


def test_resources_change_without_anybody_having_to_look(house: GatewayHouse, connection: str):
    for size in (1, 2):
        found = [Found("resource", "a:b", {"uri": "a:b", "name": "b", "size": size})]
        save_features(house.db, connection, ["resource"], found, [], now=NOW)
    assert one(house, connection, "a:b").served("hold")["size"] == 2
    assert not one(house, connection, "a:b").is_changed


def test_only_the_kinds_that_were_looked_at_can_be_missed(house: GatewayHouse, connection: str):
    save(house, connection, tools("a"))
    save_features(house.db, connection, ["prompt"], [], [], now=NOW)
    assert one(house, connection).is_available
    save(house, connection, [])
    assert not one(house, connection).is_available


def test_accepting_counts_for_the_definition_that_was_shown(house: GatewayHouse, connection: str):
    save(house, connection, tools("a", title="old"))
    save(house, connection, tools("a", title="shown"))
    shown = one(house, connection).hash
    save(house, connection, tools("a", title="changed meanwhile"))
    accept_features(house.db, house.alice.id, connection, [("tool", "a", shown)])
    assert one(house, connection).served("hold")["title"] == "old"
    accept_features(house.db, house.alice.id, connection, [("tool", "a", one(house, connection).hash)])
    assert one(house, connection).served("hold")["title"] == "changed meanwhile"


def test_reading_is_confirmed_for_one_definition_and_only_where_the_server_says_so(house: GatewayHouse, connection: str):
    hint = {"readOnlyHint": True}
    save(house, connection, [*tools("a", annotations=hint), *tools("b")])
    keys = [(item.name, item.hash) for item in list_features(house.db, connection)]
    confirm_reads(house.db, house.alice.id, connection, keys, confirmed=True)
    assert [item.reads for item in list_features(house.db, connection)] == [True, False]
    save(house, connection, tools("a", annotations=hint, title="another"))
    assert not one(house, connection).reads
    save(house, connection, tools("a", annotations=hint))
    assert one(house, connection).reads
    confirm_reads(house.db, house.alice.id, connection, keys, confirmed=False)
    assert not one(house, connection).reads


def test_a_server_that_always_lists_others_fills_nothing(
    house: GatewayHouse, connection: str, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(module, "GONE_MAX", 3)
    for number in range(9):
        save(house, connection, tools(f"t{number}"), NOW + number)
    assert [item.name for item in list_features(house.db, connection)] == ["t5", "t6", "t7", "t8"]


def test_the_rule_about_changes_is_kept_when_somebody_looks(house: GatewayHouse, connection: str):
    set_changes(house.db, house.alice.id, connection, "follow")
    save_features(house.db, connection, ["tool"], [], ["A tool has no name."], now=NOW)
    look = list_looks(house.db, house.alice.id)[connection]
    assert (look.changes, look.left_out) == ("follow", ("A tool has no name.",))


# --- profiles and who is in them ---


def test_a_further_profile_has_an_address_and_a_name_of_its_own(house: GatewayHouse):
    work = create_profile(house.db, house.alice.id, "Work", "work", now=NOW)
    assert find_profile_by_slug(house.db, house.alice.id, "work") == work
    for name, slug, field in (("Work", "other", "profile_name"), ("Other", "work", "slug")):
        with pytest.raises(InvalidInput) as refused:
            create_profile(house.db, house.alice.id, name, slug, now=NOW)
        assert list(refused.value.fields) == [field]
    with pytest.raises(InvalidInput):
        rename_profile(house.db, house.alice.id, work.id, "home")
    rename_profile(house.db, house.alice.id, work.id, "Office")
    assert [item.name for item in list_profiles(house.db, house.alice.id)] == ["home", "Office"]
    delete_profile(house.db, house.alice.id, work.id)
    with pytest.raises(NotFound):
        delete_profile(house.db, house.alice.id, house.home.id)
    assert [item.name for item in list_profiles(house.db, house.alice.id)] == ["home"]


def test_connections_join_move_and_leave(house: GatewayHouse):
    ids = [connect(house, name) for name in ("One", "Two", "Three")]

    def order() -> list[str]:
        return [member.name for member in list_members(house.db, house.home.id)]

    move_member(house.db, house.alice.id, house.home.id, ids[2], -1)
    assert order() == ["One", "Three", "Two"]
    move_member(house.db, house.alice.id, house.home.id, ids[0], 5)
    move_member(house.db, house.alice.id, house.home.id, ids[2], -5)
    assert order() == ["Three", "Two", "One"]
    put_change(house.db, house.alice.id, house.home.id, (ids[1], "tool", "a"), Change(is_enabled=False))
    delete_member(house.db, house.alice.id, house.home.id, ids[1])
    assert (order(), list_changes(house.db, house.home.id)) == (["Three", "One"], {})
    add_member(house.db, house.alice.id, house.home.id, ids[1], now=NOW + 5)
    add_member(house.db, house.alice.id, house.home.id, ids[1], now=NOW + 6)
    assert [(member.name, member.prefix, member.joined_at - NOW) for member in list_members(house.db, house.home.id)] == [
        ("Three", "three", 0),
        ("One", "", 0),
        ("Two", "two", 5),
    ]
    with pytest.raises(InvalidInput, match="has that prefix already"):
        set_prefix(house.db, house.alice.id, house.home.id, ids[1], "three")
    set_prefix(house.db, house.alice.id, house.home.id, ids[1], "zwei")
    assert list_members(house.db, house.home.id)[2].prefix == "zwei"


def test_switching_features_on_and_off_touches_only_what_was_shown(house: GatewayHouse, connection: str):
    key = (connection, "tool", "a")
    put_change(house.db, house.alice.id, house.home.id, key, Change(title="A"))
    put_change(house.db, house.alice.id, house.home.id, (connection, "tool", "unseen"), Change(is_enabled=False))
    shown = [("tool", "a"), ("tool", "b"), ("prompt", "a")]
    set_enabled_features(house.db, house.alice.id, house.home.id, connection, shown, [("tool", "b")])
    assert {key[1:]: change for key, change in list_changes(house.db, house.home.id).items()} == {
        ("tool", "a"): Change(is_enabled=False, title="A"),
        ("tool", "unseen"): Change(is_enabled=False),
        ("prompt", "a"): Change(is_enabled=False),
    }


def test_nobody_changes_what_is_anothers(house: GatewayHouse, connection: str):
    save(house, connection, tools("a", annotations={"readOnlyHint": True}))
    bob = add_account(house.db, house.vault, "bob", "another long password", now=NOW).id
    theirs = list_profiles(house.db, bob)[0].id
    db, mine, digest = house.db, house.home.id, one(house, connection).hash
    attempts = {
        "accept": lambda: accept_features(db, bob, connection, [("tool", "a", digest)]),
        "confirm": lambda: confirm_reads(db, bob, connection, [("a", digest)], confirmed=True),
        "changes": lambda: set_changes(db, bob, connection, "follow"),
        "add to mine": lambda: add_member(db, bob, mine, connection, now=NOW),
        "add to theirs": lambda: add_member(db, bob, theirs, connection, now=NOW),
        "remove": lambda: delete_member(db, bob, mine, connection),
        "prefix": lambda: set_prefix(db, bob, mine, connection, "x"),
        "move": lambda: move_member(db, bob, mine, connection, 1),
        "change": lambda: put_change(db, bob, mine, (connection, "tool", "a"), Change(is_enabled=False)),
        "enable": lambda: set_enabled_features(db, bob, mine, connection, [("tool", "a")], []),
        "delete": lambda: delete_profile(db, bob, mine),
        "rename": lambda: rename_profile(db, bob, mine, "Bob's"),
    }
    before = list_members(db, mine), list_features(db, connection), list_changes(db, mine)
    for attempt in attempts.values():
        with pytest.raises(NotFound):
            attempt()
    assert (list_members(db, mine), list_features(db, connection), list_changes(db, mine)) == before
    assert list_profiles(db, house.alice.id) == [house.home]
