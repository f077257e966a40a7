"""Signing in at Google: what is asked for, what is offered then, and what happens when it ends. Through a whole Postern."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from fake_service import json_answer
from household import send

from connectors.google_workspace import CONNECTOR
from connectors.google_workspace.scopes import GROUPS, NONE, PREFIX, scope_of, sign_in
from errors import ToolError
from google_workspace.fake import ALICE, refuse
from google_workspace.office import CLIENT, HOUSE_CLIENT, Office
from google_workspace.world import TOOLS
from store.upstream_signins import find_sign_in

NOTHING = {group.name: NONE for group in GROUPS}
EVERYTHING = {group.name: group.levels[-1].value for group in GROUPS}


@pytest.fixture
def make_office(settings: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Office]]:
    """Makes an office."""
    made: list[Office] = []

    def make(**facts: Any) -> Office:
        made.append(Office(settings, monkeypatch, **facts))
        return made[-1]

    yield make
    for office in made:
        office.house.close()


@pytest.fixture
def office(make_office: Callable[..., Office]) -> Office:
    """An office whose Google connection is made, but not signed in."""
    made = make_office()
    assert made.type_in().status_code == 303
    return made


def scopes(*names: str) -> set[str]:
    return {"openid", PREFIX + "userinfo.email", *(PREFIX + name for name in names)}


# --- what is asked for ---


def test_it_asks_for_what_was_chosen_and_for_a_token_that_lasts(office):
    asked = office.leave()
    assert asked["client_id"] == CLIENT
    assert (asked["access_type"], asked["prompt"], asked["code_challenge_method"]) == ("offline", "consent", "S256")
    assert asked["redirect_uri"] == office.state.settings.public_url + "/connect/callback"
    assert set(asked["scope"].split()) == scopes(
        "gmail.modify", "calendar", "drive", "documents", "spreadsheets", "tasks"
    )  # what the form has at first
    assert "include_granted_scopes" not in asked  # another connection's permissions are not this one's
    assert "resource" not in asked


def test_every_choice_asks_for_its_scopes_and_no_others():
    for group in GROUPS:
        for level in group.levels:
            assert set(scope_of(NOTHING | {group.name: level.value}).split()) == scopes(*level.scopes)
    assert set(scope_of(NOTHING).split()) == scopes()


def test_with_every_choice_at_its_widest_every_tool_is_covered():
    granted = set(scope_of(EVERYTHING).split())
    assert [tool.name for tool in TOOLS.values() if not all(granted & set(group) for group in tool.scopes)] == []


def test_each_service_can_be_read_only():
    for group in GROUPS:
        granted = set(scope_of(NOTHING | {group.name: "read"}).split())
        covered = [tool for tool in TOOLS.values() if all(granted & set(need) for need in tool.scopes)]
        assert covered, group.name
        assert [tool.name for tool in covered if not tool.reads] == []


@pytest.mark.parametrize("typed", [{"clientId": ""}, {"clientSecret": ""}])
def test_half_a_client_is_refused(typed):
    settings, secrets = {"clientId": CLIENT}, {"clientSecret": "GOCSPX-x"}
    settings |= {name: value for name, value in typed.items() if name in settings}
    secrets |= {name: value for name, value in typed.items() if name in secrets}
    with pytest.raises(ToolError, match=r"^A client id and its secret belong together"):
        sign_in(settings, secrets)


def test_a_client_id_has_to_look_like_one(make_office):
    page = make_office().type_in(clientId="alice")
    assert page.status_code == 400
    assert "A client id ends in .apps.googleusercontent.com." in page.text


# --- whose client ---


def test_the_servers_own_client_will_do_for_a_connection_without_one(make_office):
    office = make_office(has_house_client=True)
    office.type_in(clientId="", clientSecret="")
    assert office.leave()["client_id"] == HOUSE_CLIENT
    office.sign_in()
    assert office.call(office.key(), "list_task_lists")["task_lists"]


def test_a_connections_own_client_goes_before_the_servers(make_office):
    office = make_office(has_house_client=True)
    office.type_in()
    assert office.leave()["client_id"] == CLIENT


def test_without_any_client_it_says_what_to_do(make_office):
    office = make_office()
    office.type_in(clientId="", clientSecret="")
    page = send(office.browser, office.path + "/connect")
    assert page.status_code == 400
    assert "does not let Postern register itself" in page.text
    assert "/connect/callback" in page.text


# --- what is offered then ---


def test_nothing_is_offered_before_anybody_has_signed_in(office):
    assert office.tools(office.key()) == set()
    assert office.page().count("Nobody has signed in at this service yet") == 1


def test_signing_in_offers_what_was_granted_and_the_page_says_how_to_get_the_rest(office):
    assert office.sign_in().headers["Location"] == office.path
    key = office.key()
    offered = office.tools(key)
    page = office.page()

    assert {"search_gmail_messages", "create_event", "modify_sheet_values", "complete_task"} <= offered
    assert "create_gmail_filter" not in offered
    assert f"Signed in as <q><bdi>{ALICE}</bdi></q>" in page
    left = len(CONNECTOR.tools) - len(offered)
    assert f"Tools that this sign-in leaves out: {left}" in page
    assert "<dt>Gmail: read, write and send, filters and settings</dt><dd>Create mail filter," in page
    refused = office.try_call(key, "create_gmail_filter", criteria={}, action={})
    assert refused["isError"] is True
    assert refused["content"][0]["text"] == (
        "The connection “Google” does not offer this tool. It takes “Gmail: read, write and send, filters and settings”: its "
        "person can choose that in the connection's form, and sign in for it."
    )
    assert office.fake.sent == []  # nothing went to Google for all this


def test_reading_mail_only_offers_what_reads_mail(make_office):
    office = make_office()
    office.type_in(**(NOTHING | {"gmail": "read"}))
    assert set(office.leave()["scope"].split()) == scopes("gmail.readonly")
    office.sign_in()
    offered = office.tools(office.key())
    assert "search_gmail_messages" in offered
    assert {name for name in offered if not TOOLS[name].reads or "gmail" not in name} == set()
    assert office.call(office.key(), "search_gmail_messages", query="from:bob")["messages"]


def test_a_wider_choice_is_there_after_reconnecting_and_a_narrower_one_is_gone(office):
    office.sign_in()
    key = office.key()
    office.type_in(path=office.path, clientSecret="", **(NOTHING | {"gmail": "all"}))
    assert "create_event" in office.tools(key)  # as long as the old sign-in holds
    assert set(office.leave()["scope"].split()) == scopes("gmail.modify", "gmail.settings.basic")
    office.sign_in()
    offered = office.tools(key)
    assert "create_gmail_filter" in offered
    assert "create_event" not in offered
    assert office.call(key, "create_gmail_filter", criteria={"from": "bob"}, action={"addLabelIds": ["STARRED"]})["filter"]["id"]


def test_a_box_that_was_not_ticked_at_google_leaves_its_tools_out(office):
    office.unticked = {PREFIX + "calendar"}
    office.sign_in()
    offered = office.tools(office.key())
    assert "search_gmail_messages" in offered
    assert "create_event" not in offered
    assert "<dt>Calendar: read and change</dt>" in office.page()
    assert set(office.leave()["scope"].split()) >= scopes("calendar")  # the next time it is asked for again


def test_the_core_set_is_the_marked_ones(office):
    office.sign_in()
    assert office.tools(office.key("core")) == {tool.name for tool in CONNECTOR.tools if tool.core}


# --- one connection, one account ---


def test_another_account_is_refused_and_the_own_one_is_not(office):
    office.sign_in()
    key = office.key()
    assert office.call(key, "list_calendars", user_google_email="Alice@Example.com")["calendars"]
    before = len(office.fake.sent)
    result = office.try_call(key, "list_calendars", user_google_email="bob@example.com")
    assert result["isError"] is True
    assert result["content"][0]["text"].startswith(f"This connection is signed in as {ALICE}, not as bob@example.com.")
    assert len(office.fake.sent) == before


def test_the_account_is_asked_for_if_the_sign_in_did_not_say(office):
    office.service.id_token = None
    office.sign_in()
    result = office.try_call(office.key(), "list_calendars", user_google_email="bob@example.com")
    assert f"signed in as {ALICE}" in result["content"][0]["text"]
    assert office.fake.ids() == ["oauth2.userinfo.get"]


# --- when it ends ---


def test_a_token_that_is_due_is_renewed_without_anybody_noticing(office):
    office.sign_in()
    old = office.secrets["access_token"]
    office.clock.forward(3590)
    assert office.call(office.key(), "list_task_lists")["task_lists"]
    assert office.secrets["access_token"] != old
    assert office.service.refreshes() == 1


def test_a_token_that_google_refuses_is_renewed_once_and_the_call_goes_on(office):
    office.sign_in()
    office.service.access.clear()
    assert office.call(office.key(), "list_task_lists")["task_lists"]
    assert office.service.refreshes() == 1
    assert office.fake.ids() == ["tasks.tasklists.list"] * 2


def test_several_requests_that_are_refused_at_once_renew_it_once(office):
    office.sign_in()
    ids = list(office.fake.room("gmail")["messages"])
    office.service.access.clear()
    assert len(office.call(office.key(), "get_gmail_messages_content_batch", message_ids=ids)["messages"]) == len(ids)
    assert office.service.refreshes() == 1


def test_a_sign_in_that_google_ended_says_so_and_why_it_may_be(office):
    office.sign_in()
    office.service.refresh.clear()
    office.clock.forward(7 * 86400)
    key = office.key()
    result = office.try_call(key, "list_task_lists")
    said = result["content"][0]["text"]
    assert result["isError"] is True
    assert said.startswith("The sign-in of the connection “Google” is over.")
    assert "Google ends every sign-in after 7 days" in said
    assert f"Sign in at {office.state.settings.public_url}{office.path}" in said
    assert result["_meta"]["mcp/www_authenticate"]
    assert "Google ends every sign-in after 7 days" in office.page()
    assert "list_task_lists" in office.tools(key)  # it is still known what was granted

    office.sign_in()
    assert office.call(key, "list_task_lists")["task_lists"]
    assert "Google ends every sign-in after 7 days" not in office.page()


def test_google_that_cannot_renew_it_just_now_ends_nothing(office):
    office.sign_in()
    office.clock.forward(4000)
    office.service.answers["/token"] = json_answer({"error": "internal_failure"}, 500)
    result = office.try_call(office.key(), "list_task_lists")
    assert "cannot be renewed just now" in result["content"][0]["text"]
    del office.service.answers["/token"]
    office.clock.forward(11)
    assert office.call(office.key(), "list_task_lists")["task_lists"]


def test_a_missing_scope_names_the_choice_that_asks_for_it(office):
    office.sign_in()
    challenge = 'Bearer realm="https://accounts.google.com/", error="insufficient_scope", scope="x"'
    office.fake.fail(refuse(403, "insufficientPermissions", "Insufficient Permission", **{"WWW-Authenticate": challenge}))
    result = office.try_call(office.key(), "list_task_lists")
    said = result["content"][0]["text"]
    assert said.startswith("This takes “Tasks: read”, which is chosen in the connection's form.")
    assert office.path in said
    assert "insufficient_scope" in json.dumps(result["_meta"])
    row = find_sign_in(office.db, office.connection.id)
    assert row.missing_scope == PREFIX + "tasks.readonly"
    assert "A tool was refused because it needs more" in office.page()


def test_disconnecting_revokes_at_google_and_takes_the_tools_away(office):
    office.sign_in()
    key, tokens = office.key(), office.secrets
    assert send(office.browser, office.path + "/disconnect").status_code == 303
    assert [request.form["token"] for request in office.service.came("/revoke")] == [
        tokens["refresh_token"],
        tokens["access_token"],
    ]
    assert "refresh_token" not in office.secrets
    assert office.tools(key) == set()
    assert "Nobody has signed in at this service yet" in office.page()


def test_deleting_the_connection_revokes_at_google_and_google_need_not_be_there(office):
    for answer in (None, json_answer({"error": "internal_failure"}, 500)):
        office.sign_in()
        tokens, path = office.secrets, office.path
        if answer:
            office.service.answers["/revoke"] = answer
        assert send(office.browser, path, action="delete").status_code == 303
        revoked = [request.form["token"] for request in office.service.came("/revoke")]
        assert revoked[-2:] == [tokens["refresh_token"], tokens["access_token"]]
        assert office.browser.get(path).status_code == 404
        office.type_in()


def test_a_connection_whose_tokens_are_damaged_can_still_be_deleted(office):
    office.sign_in()
    path = office.path
    with office.db.write() as run:
        run("UPDATE credentials SET value_sealed = 'AQ'")
    assert send(office.browser, path, action="delete").status_code == 303
    assert office.service.came("/revoke") == []
    assert office.browser.get(path).status_code == 404


# --- the test button ---


def test_it_can_be_tried_once_somebody_has_signed_in(office):
    early = office.type_in("test", path=office.path, clientSecret="")
    assert "Nobody has signed in for the connection" in early.text
    office.sign_in()
    assert f"Google lets this connection in as {ALICE}." in office.type_in("test", path=office.path, clientSecret="").text


def test_a_new_one_cannot_be_tried_before_it_is_saved(make_office):
    assert "Save it first, and sign in; then it can be tried." in make_office().type_in("test").text


# --- through it all ---


def test_an_assistant_finds_a_mail_replies_makes_an_event_and_shares_a_file(office):
    office.sign_in()
    key = office.key()
    (found,) = office.call(key, "search_gmail_messages", query="from:bob subject:invoice")["messages"]
    text = office.call(key, "get_gmail_message_content", message_id=found["id"])["message"]["text"]
    assert "Please pay until Friday." in text
    sent = office.call(key, "reply_gmail_message", message_id=found["id"], body="It is paid.")
    assert sent["thread_id"] == found["thread_id"]
    event = office.call(
        key, "create_event", summary="Pay Bob", start_time="2026-09-25T09:00:00Z", end_time="2026-09-25T09:15:00Z"
    )["event"]
    assert event["summary"] == "Pay Bob"
    file = office.call(key, "create_drive_file", file_name="receipt.txt", content="Paid 100 EUR")["file"]
    shared = office.call(key, "share_drive_file", file_id=file["id"], email="bob@example.com", role="reader")
    assert shared["permission"]["email"] == "bob@example.com"


def test_no_token_of_google_leaves_postern(office):
    office.sign_in()
    tokens = [office.secrets[name] for name in ("access_token", "refresh_token")]
    office.fake.fail(refuse(400, "invalidArgument", f"Bad token {tokens[0]}"))
    everything = json.dumps(office.try_call(office.key(), "list_task_lists"), ensure_ascii=False) + office.page()
    assert "Bad token …" in everything
    assert [token for token in tokens if token in everything] == []
