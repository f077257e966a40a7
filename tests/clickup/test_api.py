"""How ClickUp is talked to: tokens, waiting, trying again, errors, copies and whose they are, ids that lead nowhere else."""

from __future__ import annotations

from urllib.parse import quote

import pytest
from connector_world import TRAVERSALS, PatientCall, Rate

from clickup.fake import BASE, NOW_MS, TOKEN, FakeClickUp, answer
from clickup.world import mistakes
from connectors.clickup.api import check_id
from errors import Cancelled, FetchError, ToolError
from fetch import Response, prepare
from service_calls import BUDGET_SECONDS
from service_messages import as_query, fill_path

NOW = NOW_MS // 1000


def statuses(fake: FakeClickUp) -> list[str]:
    return [f"{sent.method} {sent.path}" for sent in fake.sent]


# --- the token ---


def test_a_personal_token_goes_out_as_it_is_and_any_other_as_a_bearer(world):
    world.call("workspace_list")
    assert world.fake.sent[0].headers["Authorization"] == TOKEN
    for typed in ("12_oauth", "Bearer 12_oauth"):
        world.token = typed
        world.fake.tokens.add("12_oauth")
        world.call("workspace_list", forceRefresh=True)
        assert world.fake.sent[-1].headers["Authorization"] == "Bearer 12_oauth"


@pytest.mark.parametrize("token", ["", "two words", "short", "pk_\nx12345678", "pk_ü12345678"])
def test_it_sends_nothing_with_a_token_that_cannot_be_one(world, token):
    world.token = token
    with pytest.raises(ToolError, match=r"^This ClickUp connection's settings have a mistake: A token is one word"):
        world.run("workspace_list", {})
    assert world.fake.sent == []


# --- errors ---


@pytest.mark.parametrize(
    ("status", "body", "sentence"),
    [
        (
            400,
            {"err": "Status not found", "ECODE": "CRTSK_001"},
            "did not accept the request: “Status not found” (status 400, CRTSK_001).",
        ),
        (401, {"err": "Token invalid", "ECODE": "OAUTH_025"}, "does not accept this connection's API token"),
        (401, {"err": "Team not authorized", "ECODE": "OAUTH_027"}, "does not let this account into that workspace"),
        (
            403,
            {"err": "No access", "ECODE": "ACCESS_1"},
            "does not let this account do that: “No access” (status 403, ACCESS_1).",
        ),
        (404, {"message": "Doc not found"}, "finds nothing there"),
        (405, {"err": "No"}, "does not offer this for what was named: “No” (status 405)."),
        (409, {"err": "Taken"}, "says that this clashes with what is there: “Taken” (status 409)."),
        (413, {}, "says that this is too large (status 413)."),
        (418, "tea", "ClickUp answered with status 418 (status 418)."),
        (
            400,
            {"err": f"bad {TOKEN} here", "ECODE": f"X{TOKEN}" * 9},
            "ClickUp did not accept the request: “bad … here” (status 400).",
        ),
        (400, {"err": "a" * 999 + "\x1b[31m"}, "a" * 200 + "” (status 400)."),
        (400, {"err": ["odd"], "ECODE": 5}, "ClickUp did not accept the request (status 400)."),
    ],
)
def test_each_refusal_says_what_it_means_and_never_the_token(world, status, body, sentence):
    world.fake.fail(answer(body, status))
    with pytest.raises(ToolError) as refused:
        world.run("workspace_list", {})
    assert sentence in str(refused.value)
    assert TOKEN not in str(refused.value)
    assert len(world.fake.sent) == 1


@pytest.mark.parametrize("body", [b"<html>", b"\xff\xfe", b"{", b"[" * 100_000])
def test_an_answer_that_is_not_json_is_an_error(world, body):
    world.fake.fail(Response(200, {}, body))
    with pytest.raises(ToolError, match=r"^ClickUp answered something that is not JSON\. Try again later\.$"):
        world.run("workspace_list", {})


@pytest.mark.parametrize(
    "odd", ["text", {}, {"teams": None}, {"teams": {}}, {"teams": [None, 5, "x"]}, {"teams": [{"id": None, "members": 7}]}, []]
)
def test_answers_of_an_unexpected_shape_break_nothing(world, odd):
    for name in ("workspace_list", "workspace_hierarchy"):
        world.fake.fail(answer(odd))
        world.run(name, {"forceRefresh": True})


# --- waiting and trying again ---


@pytest.mark.parametrize("status", [500, 502, 503, 504])
def test_reading_is_tried_again_with_longer_and_longer_pauses(world, status):
    world.fake.fail(answer({}, status), times=3)
    assert world.call("workspace_list")["workspaces"]
    assert len(world.fake.sent) == 4
    assert [round(wait, 2) for wait in world.clock.waits] == sorted(round(wait, 2) for wait in world.clock.waits)
    assert 0.2 <= world.clock.waits[0] <= 0.3
    assert 0.8 <= world.clock.waits[2] <= 1.2


def test_it_gives_up_after_four_times(world):
    world.fake.fail(answer({}, 500), times=9)
    with pytest.raises(ToolError, match=r"^ClickUp has trouble of its own\. Try again later \(status 500\)\.$"):
        world.call("workspace_list")
    assert len(world.fake.sent) == 4


@pytest.mark.parametrize("fault", [answer({}, 500), answer({}, 503), FetchError("api.clickup.com did not answer in time.")])
def test_creating_is_not_tried_again_after_anything_that_may_have_arrived(world, fault):
    world.fake.fail(fault, method="POST")
    with pytest.raises(ToolError, match=r"It may have been done all the same: look before you try again"):
        world.do("task_create", listId=world.list, name="Once")
    assert len(world.fake.writes()) == 1


@pytest.mark.parametrize("fault", [answer({}, 500), FetchError("api.clickup.com did not answer in time.")])
def test_deleting_is_tried_again(world, fault):
    world.fake.fail(fault, method="DELETE")
    assert world.do("task_delete", taskId=world.task)["done"] is True
    assert len(world.fake.writes()) == 2


def test_what_is_gone_when_deleting_is_tried_again_is_deleted(world):
    gone = answer({"err": "Task not found", "ECODE": "ITEM_013"}, 404)
    for fault in (answer({}, 500), gone):
        world.fake.fail(fault, method="DELETE")
    assert world.do("task_delete", taskId=world.task)["done"] is True
    for fault in (answer({}, 429, Retry_After="1"), gone):  # here nothing was done before
        world.fake.fail(fault, method="DELETE")
    with pytest.raises(ToolError, match="ClickUp finds nothing there"):
        world.do("task_delete", taskId=world.task)


def test_a_used_up_limit_is_waited_for_until_it_resets(world):
    world.fake.fail(answer({"err": "Rate limit reached"}, 429, X_RateLimit_Reset=str(NOW + 20)), method="POST")
    assert world.do("task_create", listId=world.list, name="Later")["done"] is True
    assert 20 <= sum(world.clock.waits) <= 21
    assert len(world.fake.writes()) == 2


def test_a_long_job_keeps_to_the_rate_of_a_clickup_that_counts(world):
    world.fake.rate = Rate(4, 10, world.clock)
    tags = [f"tag {number}" for number in range(10)]
    world.do("task_tag_add", taskId=world.task, tags=tags)
    assert [tag["name"] for tag in world.fake.tasks[world.task]["tags"]] == ["urgent", *tags]
    assert 20 <= sum(world.clock.waits) <= 24
    assert world.fake.rate.refused == 2


def test_retry_after_comes_before_the_reset(world):
    world.fake.fail(answer({}, 429, Retry_After="7", X_RateLimit_Reset=str(NOW + 40)))
    world.call("workspace_list")
    assert 7 <= sum(world.clock.waits) <= 8


def test_a_limit_that_resets_too_late_is_told_at_once(world):
    world.fake.fail(answer({}, 429, X_RateLimit_Reset=str(NOW + 600)))
    with pytest.raises(ToolError, match=r"^ClickUp asks to wait 60[01] seconds, which is longer than this call can last\.$"):
        world.call("workspace_list")
    assert world.clock.waits == []


def test_slow_answers_use_up_the_call_and_no_more(world):
    def slow(sent):
        world.clock.seconds += 25
        raise FetchError("api.clickup.com did not answer in time.")

    world.fake.fail(slow, times=9)
    with pytest.raises((ToolError, FetchError)):
        world.call("workspace_list")
    assert len(world.fake.sent) == 3
    assert world.clock.seconds < BUDGET_SECONDS + 25


def test_a_cancelled_call_sends_nothing_more(world):
    call = PatientCall(world.clock)
    call.cancelled.set()
    with pytest.raises(Cancelled):
        world.run("workspace_list", {}, call=call)
    assert world.fake.sent == []


# --- copies ---


def test_what_was_read_a_moment_ago_is_not_asked_again(world):
    for _ in range(2):
        world.call("task_list_for_list", listId=world.list)
    assert len(world.fake.sent) == 1
    world.clock.seconds += 61
    world.call("task_list_for_list", listId=world.list)
    assert len(world.fake.sent) == 2


def test_a_refresh_goes_past_the_copy_and_renews_it(world):
    world.call("space_list_for_workspace", workspaceId="1")
    world.fake.add_space("New")
    assert len(world.call("space_list_for_workspace", workspaceId="1")["spaces"]) == 2
    assert len(world.call("space_list_for_workspace", workspaceId="1", forceRefresh=True)["spaces"]) == 3
    assert len(world.call("space_list_for_workspace", workspaceId="1")["spaces"]) == 3


@pytest.mark.parametrize(
    ("read", "write"),
    [
        (("task_read", lambda w: {"taskId": w.task}), ("task_update", lambda w: {"taskId": w.task, "name": "Changed"})),
        (("task_comment_list", lambda w: {"taskId": w.task}), ("task_comment_add", lambda w: {"taskId": w.task, "comment": "x"})),
        (("task_list_for_list", lambda w: {"listId": w.list}), ("task_create", lambda w: {"listId": w.list, "name": "x"})),
        (("doc_page_read", lambda w: {"docId": w.doc, "pageId": w.page}),
         ("doc_page_update", lambda w: {"docId": w.doc, "pageId": w.page, "content": "x"})),
        (("time_entry_list", lambda w: {}), ("time_entry_delete", lambda w: {"entryId": w.entry})),
        (("space_tag_list", lambda w: {"spaceId": w.space}), ("space_tag_create", lambda w: {"spaceId": w.space, "name": "x"})),
        (("folder_list_for_space", lambda w: {"spaceId": w.space}),
         ("folder_create_in_space", lambda w: {"spaceId": w.space, "name": "x"})),
        (("task_read", lambda w: {"taskId": w.task}),
         ("task_custom_field_set_value", lambda w: {"taskId": w.task, "fieldId": "f-note", "value": "x"})),
    ],
)  # fmt: skip
def test_a_write_is_seen_by_the_next_read(world, read, write):
    before = world.call(read[0], **read[1](world))
    assert world.call(read[0], **read[1](world)) == before
    world.do(write[0], **write[1](world))
    assert world.call(read[0], **read[1](world)) != before


@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("task_tag_add", lambda w: {"taskId": w.task, "tags": ["new"]}),
        ("task_create", lambda w: {"listId": w.list, "name": "x", "tags": ["new"]}),
    ],
)
def test_a_tag_that_clickup_makes_by_the_way_is_seen_by_the_next_read(world, name, arguments):
    before = world.call("space_tag_list", spaceId=world.space)["tags"]
    world.do(name, **arguments(world))
    assert [tag["name"] for tag in world.call("space_tag_list", spaceId=world.space)["tags"]] == [before[0]["name"], "new"]


def test_a_write_that_failed_drops_copies_too_for_it_may_have_been_done(world):
    world.call("task_list_for_list", listId=world.list)

    def half_done(sent):
        world.fake.add_task("Arrived", world.list)
        raise FetchError("api.clickup.com stopped in the middle of its answer.")

    world.fake.fail(half_done, method="POST")
    with pytest.raises(ToolError):
        world.do("task_create", listId=world.list, name="Arrived")
    names = [task["name"] for task in world.call("task_list_for_list", listId=world.list)["tasks"]]
    assert "Arrived" in names


def test_nobody_sees_the_copies_of_another_connection(world):
    world.run("task_read", {"taskId": world.task}, owner="alice")
    world.fake.tokens = {"pk_2_BOB_SECRET"}
    world.token = "pk_2_BOB_SECRET"
    world.fake.tasks[world.task]["name"] = "What Bob may see"
    seen = world.run("task_read", {"taskId": world.task}, owner="bob").structured
    assert seen["task"]["name"] == "What Bob may see"


def test_another_token_in_the_same_connection_sees_no_old_copies(world):
    world.call("task_read", taskId=world.task)
    world.token = "pk_1_OTHER_ACCOUNT"
    with pytest.raises(ToolError, match="OAUTH_025"):
        world.call("task_read", taskId=world.task)


def test_a_write_of_one_connection_leaves_the_copies_of_others(world):
    for owner in ("alice", "bob"):
        world.run("task_read", {"taskId": world.task}, owner=owner)
    world.run("task_delete", {"taskId": world.other_task, "confirm": "yes"}, owner="alice")
    before = len(world.fake.sent)
    world.run("task_read", {"taskId": world.task}, owner="bob")
    assert len(world.fake.sent) == before
    world.run("task_read", {"taskId": world.task}, owner="alice")
    assert len(world.fake.sent) == before + 1


def test_copies_are_sealed_and_their_names_tell_nothing(world):
    world.call("task_read", taskId=world.task)
    rows = world.db.query("SELECT key, value_sealed FROM cache")
    assert rows
    for row in rows:
        assert TOKEN not in row["key"]
        assert world.task not in row["key"]
        assert "Write the ad" not in str(row["value_sealed"])


# --- ids ---


@pytest.mark.parametrize("value", TRAVERSALS)
@pytest.mark.parametrize(
    "path",
    ["/v2/task/{task_id}", "/v2/space/{space_id}/tag", "/v2/view/{view_id}", "/v3/workspaces/{workspace_id}/docs/{doc_id}"],
)
def test_no_id_leads_to_another_path(path, value):
    ids = dict.fromkeys(("task_id", "space_id", "view_id", "workspace_id", "doc_id"), value)
    with pytest.raises(ToolError, match=r"is not an id of ClickUp\.$"):
        fill_path(path, ids, check_id)


@pytest.mark.parametrize("tag", ["a/b", "//evil.example", "@evil", "a b", "x?y=1", "x#y", "%2e%2e", "ü", "../x"])
def test_the_name_of_a_tag_stays_one_segment(world, tag):
    world.do("task_tag_add", taskId=world.task, tags=[tag])
    assert world.fake.sent[-1].ids == (world.task, tag)
    assert [item["name"] for item in world.fake.tasks[world.task]["tags"]] == ["urgent", tag]


@pytest.mark.parametrize("tag", ["a/b", "//evil.example", "@evil", "a b", "x?y=1", "x#y", "%2e%2e", "%2F..", "ü", "../x"])
def test_the_way_out_leaves_the_path_as_it_is(tag):
    path = fill_path("/v2/task/{task_id}/tag/{tag_name}", {"task_id": "t1", "tag_name": tag}, check_id)
    message = prepare("POST", BASE + path, {}, as_query({"team_id": "1", "tags[]": ["a b", "c&d"]}), None, None)
    assert message.path_url == f"/api/v2/task/t1/tag/{quote(tag, safe='')}?team_id=1&tags%5B%5D=a+b&tags%5B%5D=c%26d"
    assert message.url.startswith("https://api.clickup.com/")


@pytest.mark.parametrize("tag", [".", "..", "a\nb"])
def test_the_name_of_a_tag_that_no_path_can_hold_is_refused(world, tag):
    with pytest.raises(ToolError, match=r"cannot be used as tag_name\.$"):
        world.run("task_tag_add", {"taskId": world.task, "tags": [tag], "confirm": "yes"})
    assert world.fake.writes() == []


@pytest.mark.parametrize("value", TRAVERSALS)
def test_every_id_is_checked_before_anything_is_sent(world, value):
    for name, argument in (("task_read", "taskId"), ("doc_page_list", "docId"), ("space_list_for_workspace", "workspaceId")):
        assert mistakes(name, {argument: value})


def test_a_custom_id_is_told_from_others(world):
    assert world.call("task_read", taskId="DEV-42")["task"]["id"] == world.task
    assert dict(world.fake.sent[-1].query)["custom_task_ids"] == "true"


# --- the workspace ---


def test_the_only_workspace_needs_no_name(world):
    assert world.call("member_list_for_workspace")["teamId"] == "1"


def test_several_workspaces_need_one(world):
    world.fake.teams["2"] = {"id": "2", "name": "Bakery", "members": []}
    with pytest.raises(
        ToolError, match=r"^It is not clear which workspace is meant: this account is in Acme \(1\), Bakery \(2\)\."
    ):
        world.call("member_list_for_workspace")
    world.settings["teamId"] = "2"
    assert world.call("member_list_for_workspace")["members"] == []
    assert world.call("member_list_for_workspace", teamId="1")["members"]
