"""What the tools of ClickUp do beyond sending the right requests: paths, people, bulk, reports, limits, files, resources."""

from __future__ import annotations

import base64
import json
from difflib import SequenceMatcher

import pytest

from clickup.fake import BOB, DAY, NOW_MS, STATUSES, answer
from clickup.world import PatientCall, World
from connectors.catalog import CONNECTORS
from connectors.clickup import CONNECTOR
from connectors.clickup.moments import parse_edge, parse_moment, parse_range
from connectors.clickup.settings import FIELDS
from connectors.clickup.task_pages import Likeness, rank
from errors import Cancelled, ToolError
from fitting import GUIDANCE, dump, fit
from forms import read_draft
from listings import match_template


def refusal(world: World, name: str, /, **arguments) -> str:
    with pytest.raises(ToolError) as refused:
        world.call(name, **arguments)
    return str(refused.value)


# --- the connection ---


def test_the_test_of_a_connection_names_its_workspaces(world):
    assert CONNECTOR.test(world.context()) == "ClickUp accepts the token. Workspace: “Acme” (1)."
    world.fake.teams["2"] = {"id": "2", "name": "Bakery", "members": []}
    assert CONNECTOR.test(world.context()) == (
        "ClickUp accepts the token. It opens several workspaces: “Acme” (1), “Bakery” (2). Choose one by its id."
    )
    world.settings["teamId"] = "9"
    with pytest.raises(ToolError, match=r"^This account is not in workspace 9\. It is in “Acme” \(1\), “Bakery” \(2\)\.$"):
        CONNECTOR.test(world.context())
    world.fake.teams.clear()
    with pytest.raises(ToolError, match=r"^ClickUp accepts the token, but its account is in no workspace\.$"):
        CONNECTOR.test(world.context())
    world.token = "pk_wrong_token"
    with pytest.raises(ToolError, match=r"OAUTH_025"):
        CONNECTOR.test(world.context())


def test_the_form_takes_what_a_person_types(world):
    typed = {"apiKey": "pk_1_ABCDEFGH", "teamId": "12", "selectiveWrite": "on", "writeLists": "1, 2 3", "charLimit": "2000"}
    draft = read_draft(CONNECTOR, typed)
    world.settings, world.token = dict(draft.settings), draft.secrets["apiKey"]
    shown = world.call("health", verbose=True)
    assert (shown["mode"], shown["workspaceId"], shown["tokenKind"]) == ("selective", "12", "personal")
    assert shown["settings"]["writeLists"] == ["1", "2", "3"]
    assert shown["settings"]["charLimit"] == 2000
    assert {field.name for field in FIELDS} == {
        "apiKey", "teamId", "readOnly", "selectiveWrite", "writeSpaces", "writeLists", "charLimit", "maxAttachmentMb",
    }  # fmt: skip


# --- paths ---


@pytest.mark.parametrize(
    ("path", "names"),
    [
        (["Acme"], ["Acme"]),
        (["acme", "MARKETING"], ["Acme", "Marketing"]),
        (["Marketing", "Ideas"], ["Acme", "Marketing", "Ideas"]),
        ([{"type": "space", "name": "Secret"}, "Vault", "Plans"], ["Acme", "Secret", "Vault", "Plans"]),
    ],
)
def test_a_path_leads_to_its_end(world, path, names):
    assert [step["name"] for step in world.call("hierarchy_resolve_path", path=path)["path"]] == names


def test_a_path_that_leads_nowhere_says_what_there_is(world):
    assert refusal(world, "hierarchy_resolve_path", path=["Marketing", "Lunch"]) == (
        "There is no item “Lunch” in the space “Marketing”. There is: “Launch” (folder), “Ideas” (list)."
    )
    world.fake.add_list("Launch", world.space)
    world.clock.seconds += 301
    assert refusal(world, "hierarchy_resolve_path", path=["Marketing", "Launch"]).startswith(
        "Several things in the space “Marketing” are called “Launch”: folder"
    )
    assert refusal(world, "list_delete", path=["Marketing"]) == "The path ends at a space, “Marketing”, but a list is needed."
    assert refusal(world, "list_delete") == "Give either listId, or a path."


def test_a_name_that_is_a_workspace_and_a_space_means_the_space(world):
    world.fake.add_space("Acme")
    assert world.call("hierarchy_resolve_path", path=["Acme"])["type"] == "space"
    assert world.call("hierarchy_resolve_path", path=[{"type": "workspace", "name": "Acme"}])["type"] == "workspace"


def test_the_hierarchy_says_what_it_left_out(world):
    world.fake.add_folder("Rest", world.space)
    tree = world.call("workspace_hierarchy", maxFoldersPerSpace=1)
    assert tree["partialReasons"] == ["Only 1 of 2 folders of Marketing are shown."]
    assert [space["name"] for space in tree["workspaces"][0]["spaces"]] == ["Marketing", "Secret"]
    world.fake.fail(answer({}, 403), operation="GET /v2/space/{}/list")
    tree = world.call("workspace_hierarchy", forceRefresh=True)
    assert tree["partial"] is True
    assert tree["partialReasons"][0].startswith("What is in the space ")


# --- people ---


def test_people_are_found_by_whatever_names_them(world):
    found = world.call("member_resolve", identifiers=["me", "BOB@example.com", "12", "alic", "zzz"])["results"]
    assert [(item["match"], [member["id"] for member in item["members"]]) for item in found] == [
        ("exact", ["11"]), ("exact", ["12"]), ("exact", ["12"]), ("fuzzy", ["11"]), ("none", []),
    ]  # fmt: skip
    resolved = world.call("task_assignee_resolve", identifiers=["Bob Baker", "zzz"])
    assert (resolved["assigneeIds"], resolved["unresolved"]) == (["12"], ["zzz"])


def test_a_report_about_somebody_unclear_is_refused(world):
    assert refusal(world, "task_risk_report", assignees=["zzz"]).startswith("It is not clear who is meant by zzz.")


# --- tasks ---


def test_an_update_keeps_the_old_description_and_changes_only_what_it_must(world):
    world.do("task_update", taskId=world.task, description="New words", assigneeIds=["12"], tags=["calm", "urgent"])
    task = world.fake.tasks[world.task]
    assert task["description"] == "New words\n\n---\nPrevious description (auto preserved):\nOld words"
    assert task["assignees"] == [BOB]
    assert [tag["name"] for tag in task["tags"]] == ["urgent", "calm"]
    assert [(sent.method, sent.operation) for sent in world.fake.writes()] == [
        ("PUT", "PUT /v2/task/{}"), ("POST", "POST /v2/task/{}/tag/{}"),
    ]  # fmt: skip
    assert world.fake.writes()[0].body["assignees"] == {"add": [12], "rem": [11]}
    before = len(world.fake.writes())
    assert world.do("task_update", taskId=world.task, tags=["urgent", "CALM"])["summary"] == "Nothing had to be changed."
    assert len(world.fake.writes()) == before


def test_a_failure_on_the_way_says_what_was_done_before(world):
    world.fake.fail(answer({"err": "No"}, 400), operation="POST /v2/task/{}/tag/{}")
    said = refusal(world, "task_update", taskId=world.task, name="Half", tags=["urgent", "x"], confirm="yes")
    assert said.endswith(f"Before that, this was done: change name of task {world.task}.")
    assert world.fake.tasks[world.task]["name"] == "Half"


def test_a_duplicate_takes_along_what_was_asked_for(world):
    made = world.do("task_duplicate", taskId=world.task, listId=world.other_list, includeChecklists=True)["task"]
    copy = world.fake.tasks[made["id"]]
    assert (copy["name"], copy["description"], copy["assignees"]) == ("Write the ad (copy)", "Old words", [])
    assert copy["checklists"][0]["items"] == [{"name": "Draft", "resolved": False}]


@pytest.mark.parametrize(
    ("given", "sent"),
    [
        ("2026-10-01", (1_790_856_000_000, False)),
        ("2026-10-01T08:30:00+02:00", (1_790_836_200_000, True)),
        (1_790_000_000_000, (1_790_000_000_000, True)),
    ],
)
def test_due_dates_are_understood(world, given, sent):
    world.do("task_create", listId=world.list, name="x", dueDate=given)
    body = world.fake.writes()[-1].body
    assert (body["due_date"], body["due_date_time"]) == sent


def test_times_that_are_none_are_refused(world):
    assert refusal(world, "task_create", listId=world.list, name="x", dueDate="tomorrow").startswith("`dueDate` is not a time")
    seconds = refusal(world, "task_create", listId=world.list, name="x", dueDate=1_790_000_000)
    assert seconds == "`dueDate` looks like seconds: epoch milliseconds have three digits more."
    assert world.fake.sent == []
    assert parse_edge("2026-10-01", "from") == parse_moment("2026-10-01T00:00:00Z", "from").ms
    assert parse_edge("2026-10-01", "to", end=True) == parse_moment("2026-10-02", "to").ms - DAY // 2 - 1
    assert parse_range("2026-10-01", "2026-10-01", 0)[1] - parse_range("2026-10-01", "2026-10-01", 0)[0] == DAY - 1
    with pytest.raises(ToolError, match=r"^`from` is after `to`\.$"):
        parse_range("2026-10-02", "2026-10-01", 0)


def test_a_name_that_fits_several_tasks_is_asked_about(world):
    world.fake.add_task("Write the ad", world.other_list)
    assert refusal(world, "task_read", taskName="write the ad").startswith("It is not clear which task “write the ad” is.")
    assert world.call("task_read", taskName="print flyers")["task"]["id"] == world.other_task


def test_pages_of_ours_lie_across_pages_of_clickups(world):
    world.fake.tasks.clear()
    for number in range(250):
        world.fake.add_task(f"Task {number:03}", world.list)
    seen = []
    for page in range(6):
        found = world.call("task_list_for_list", listId=world.list, page=page, limit=50)
        seen += [task["name"] for task in found["tasks"]]
        assert found["hasMore"] == (page < 4)
    assert seen == [f"Task {number:03}" for number in range(250)]


def test_a_search_that_cannot_see_all_says_so(world):
    world.settings["charLimit"] = 200_000
    for number in range(1200):
        world.fake.add_task(f"Bulk {number}", world.list)
    found = world.call("task_search", query="write the ad")
    assert (found["tasks"], found["partial"], found["hasMore"]) == ([], True, False)
    assert found["partialReasons"] == ["Only the latest 1000 tasks were searched. Narrow it down by list, tag or status."]
    assert world.call("task_search", query="ad write", listIds=[world.list], tagIds=["urgent"])["tasks"][0]["id"] == world.task


def test_comments_are_read_page_by_page(world):
    for number in range(60):
        world.do("task_comment_add", taskId=world.task, comment=f"Comment {number}")
    found = world.call("task_comment_list", taskId=world.task, limit=55)
    assert (len(found["comments"]), found["comments"][0]["text"], found["hasMore"]) == (55, "Comment 59", True)
    assert [sent.one("start_id") for sent in world.fake.sent[-3:]].count(None) == 1


@pytest.mark.parametrize(
    ("query", "first"), [("print fliers", "Print flyers"), ("wriet the ad", "Write the ad"), ("painter", "Hire a painter")]
)
def test_likeness_forgives_typing_mistakes(world, query, first):
    assert world.call("task_search_fuzzy", query=query)["results"][0]["name"] == first


def test_an_id_as_a_query_finds_its_task(world):
    task = world.fake.add_task("Found by id", world.list, id="86abc123")
    found = world.call("task_search_fuzzy", query=task)["results"]
    assert [(item["id"], item["score"]) for item in found] == [(task, 1.0)]
    assert world.call("task_search_fuzzy", query="86zzz999")["results"] == []


# --- many at once ---


def test_many_tasks_are_created_with_progress_and_each_failure_named(world):
    world.fake.fail(
        lambda sent: answer({"err": "Full", "ECODE": "LIST_1"}, 400),
        operation="POST /v2/list/{}/task",
        path=f"/v2/list/{world.other_list}/task",
    )
    tasks = [{"name": "One"}, {"name": "Two", "listId": world.other_list}, {"name": "Three", "tags": ["own"]}]
    outcome = world.do("task_create_bulk", tasks=tasks, defaults={"listId": world.list, "priority": 1, "tags": ["all"]})
    assert (outcome["done"], outcome["succeeded"], outcome["failed"], outcome["partial"]) == (False, 2, 1, True)
    assert [item["ok"] for item in outcome["results"]] == [True, False, True]
    assert outcome["results"][1]["error"] == "ClickUp did not accept the request: “Full” (status 400, LIST_1)."
    assert outcome["partialReasons"] == [outcome["results"][1]["error"]]
    made = [world.fake.tasks[item["id"]] for item in outcome["results"] if item["ok"]]
    assert [[tag["name"] for tag in task["tags"]] for task in made] == [["all"], ["own"]]
    assert world.last_call.reports[-1][:2] == (3, 3)


def test_nothing_is_begun_after_the_call_was_cancelled(world):
    call = PatientCall(world.clock, cancel_after=1)
    arguments = {
        "tasks": [{"name": f"Task {number}"} for number in range(50)],
        "defaults": {"listId": world.list},
        "confirm": "yes",
    }
    real = world.fake.respond

    def slowly(sent):
        import time  # noqa: PLC0415

        time.sleep(0.05)
        return real(sent)

    world.fake.respond = slowly
    with pytest.raises(Cancelled):
        world.run("task_create_bulk", arguments, call=call)
    assert 0 < len(world.fake.writes()) < 50


def test_what_there_was_no_time_for_is_named(world):
    def slow(sent):
        world.clock.seconds += 30
        return answer({"id": "t1"})

    world.fake.fail(slow, times=9, method="DELETE")
    tasks = [{"taskId": world.fake.add_task(f"Task {number}", world.list)} for number in range(8)]
    outcome = world.do("task_delete_bulk", tasks=tasks)
    assert 0 < outcome["succeeded"] < 8
    assert "ClickUp took too long: this call has no time left." in outcome["partialReasons"]


def test_a_task_named_twice_is_refused(world):
    said = refusal(world, "task_delete_bulk", tasks=[{"taskId": world.task}, {"taskId": world.task}], confirm="yes")
    assert said == f"These tasks are named more than once: {world.task}."
    assert refusal(world, "task_create_bulk", tasks=[{"name": "x"}]).startswith("Item 0 has no listId.")
    assert world.fake.writes() == []


# --- reports ---


def test_reports_count_by_status_and_due_date(world):
    for days in (-1, -5, -10, 0.1, 6, 20):
        world.fake.add_task(f"Due {days}", world.list, due_date=str(int(NOW_MS + days * DAY)), status=STATUSES[1])
    report = world.call("task_status_report", listId=world.list)
    assert {item["name"]: item["count"] for item in report["byStatus"]} == {"in progress": 6, "to do": 2}
    assert report["due"] == {"overdue": 4, "today": 1, "next7Days": 2, "later": 1, "none": 0}
    assert len(report["samples"]["in progress"]) == 5
    risk = world.call("task_risk_report", path=["Marketing", "Launch", "Ads"], dueWithinDays=7)
    assert risk["overdue"] == {"days1to3": 2, "days4to7": 1, "days8plus": 1, "total": 4}
    assert (risk["atRisk"], risk["unassignedAtRisk"]) == (3, 5)


def test_a_report_about_too_many_tasks_is_partial(world):
    for number in range(1001):
        world.fake.add_task(f"Task {number}", world.list)
    report = world.call("task_status_report", listId=world.list)
    assert (report["total"], report["partial"], report["partialReasons"]) == (
        1000,
        True,
        ["Only the first 1000 tasks were read."],
    )


def test_time_is_summed_up_by_person_and_task(world):
    world.fake.add_entry(world.other_task, NOW_MS - DAY, 1_200_000, user=BOB)
    world.fake.add_entry(world.task, NOW_MS - 1000, 0, duration=str(-NOW_MS))
    report = world.call("time_report_for_container", containerType="folder", containerId=world.folder)
    assert (report["totalMs"], report["total"], report["runningTimers"]) == (4_800_000, "1 h 20 min", 1)
    assert report["byUser"] == [
        {"user": "Alice Archer", "totalMs": 3_600_000, "entries": 2}, {"user": "Bob Baker", "totalMs": 1_200_000, "entries": 1},
    ]  # fmt: skip
    assert [task["name"] for task in report["perTask"]] == ["Write the ad", "Print flyers"]
    assert world.fake.sent[-1].one("assignee") == "11,12"


def test_without_the_right_to_see_others_time_the_report_says_so(world):
    world.fake.fail(lambda sent: answer({"err": "No"}, 403), operation="GET /v2/team/{}/time_entries")
    report = world.call("time_report_for_tag", tag="urgent")
    assert report["totalMs"] == 3_600_000
    assert report["partialReasons"] == ["Only this account's own time: ClickUp shows that of others to owners and admins only."]


def test_a_timer_runs_from_start_to_stop(world):
    assert world.call("time_entry_current") == {"running": False}
    world.do("task_timer_start", taskId=world.task)
    assert world.call("time_entry_current")["entry"]["running"] is True
    assert refusal(world, "task_timer_stop", taskId=world.other_task).startswith("The timer does not run on task")
    assert world.do("task_timer_stop", taskId="DEV-42")["entry"]["durationMs"] == 60_000
    assert refusal(world, "task_timer_stop", taskId=world.task) == "No timer runs."


# --- docs ---


def test_docs_are_found_by_name_and_by_what_is_in_them(world):
    assert [item["name"] for item in world.call("doc_search", query="launch plan")["results"]] == ["Launch plan"]
    assert world.call("doc_search", query="umbrellas")["results"] == []
    found = world.call("doc_search", query="umbrellas thousand", expandPages=True)["results"]
    assert [(item["name"], item["pages"][0]["name"]) for item in found] == [("Launch plan", "Goals")]
    world.fake.fail(answer({}, 403), operation="GET /v3/workspaces/{}/docs/{}/pages")
    world.clock.seconds += 61
    found = world.call("doc_search", query="umbrellas", expandPages=True)
    assert found["partial"] is True
    assert found["partialReasons"][0].startswith("The pages of “")


def test_many_docs_are_read_in_several_requests(world):
    for number in range(250):
        world.fake.add_doc(f"Doc {number}", world.folder)
    found = world.call("doc_list", page=12, limit=20, includePreviews=False)
    assert (len(found["docs"]), found["hasMore"], len(world.fake.sent)) == (12, False, 4)


def test_a_doc_is_made_with_its_first_page_and_added_to(world):
    made = world.do("doc_create", folderId=world.folder, name="Budget", content="# Money")
    page, doc = made["page"]["id"], made["doc"]["id"]
    world.do("doc_page_update", docId=doc, pageId=page, content="\nMore", mode="append")
    assert world.call("doc_page_read", docId=doc, pageId=page)["page"]["content"] == "# Money\nMore"
    child = world.do("doc_page_create", docId=doc, title="Details", parentId=page)["page"]["id"]
    assert [(item["id"], item["depth"]) for item in world.call("doc_page_list", docId=doc)["pages"]] == [(page, 0), (child, 1)]


# --- what fits ---


def test_a_long_answer_is_shortened_and_says_so(world):
    for number in range(100):
        world.fake.add_task(f"Task {number} " + "x" * 80, world.list)
    assert "truncated" not in world.call("task_list_for_list", listId=world.list, limit=20)
    for limit in (1000, 4000):
        world.settings["charLimit"] = limit
        found = world.call("task_list_for_list", listId=world.list, limit=100)
        assert (found["truncated"], found["guidance"]) == (True, GUIDANCE)
        assert limit / 4 < len(dump(found)) <= limit


@pytest.mark.parametrize(
    "answer_", [{"a": "x" * 5000}, {"a": ["y" * 900] * 9}, {"a": {"b": [{"c": "z" * 4000}]}}, {"a": [[1] * 900] * 9}]
)
def test_whatever_is_long_is_cut_until_it_fits(answer_):
    assert len(dump(fit(answer_, 1000))) <= 1000
    assert fit({"a": 1}, 1000) == {"a": 1}


def test_a_list_of_one_is_not_emptied_while_what_is_in_it_can_be_shortened():
    one_mail = fit({"messages": [{"id": "m1", "text": "x" * 50_000}]}, 16_000)
    assert (one_mail["messages"][0]["id"], one_mail["messages"][0]["text"][:12_000]) == ("m1", "x" * 12_000)
    (event,) = fit({"events": [{"id": "e1", "attendees": [{"email": f"a{n}@example.com"} for n in range(900)]}]}, 16_000)[
        "events"
    ]
    assert (event["id"], event["attendees"][0]) == ("e1", {"email": "a0@example.com"})
    assert len(event["attendees"]) > 100
    assert fit({"a": [{str(n): n for n in range(900)}]}, 1000)["a"] == []  # there is no other way


def test_one_long_text_does_not_cost_those_beside_it():
    texts = fit({"messages": ["short"] * 9 + ["x" * 1_000_000]}, 16_000)["messages"]
    assert texts == ["short"] * 9 + ["x" * 12_000 + "…"]


def test_a_file_is_sent_whole_or_not_at_all(world):
    content = b"\x00\xff--postern-x\r\n" * 10
    uri = "data:image/png;base64," + base64.b64encode(content).decode()
    world.do("task_attachment_add", taskId=world.task, filename="a b.png", dataUri=uri)
    sent = world.fake.writes()[-1]
    boundary = sent.headers["Content-Type"].partition("boundary=")[2].encode()
    head, _, rest = sent.form.partition(b"\r\n\r\n")
    assert rest == content + b"\r\n--" + boundary + b"--\r\n"
    assert b'filename="a b.png"\r\nContent-Type: image/png' in head
    world.settings["maxAttachmentMb"] = 1
    large = "data:text/plain;base64," + base64.b64encode(b"x" * (1024 * 1024 + 1)).decode()
    said = refusal(world, "task_attachment_add", taskId=world.task, filename="a", dataUri=large, confirm="yes")
    assert said == "The file is larger than 1 MB, which this connection's settings allow at most."
    assert refusal(world, "task_attachment_add", taskId=world.task, filename="a", dataUri="data:,x").startswith(
        "`dataUri` has to"
    )
    assert len(world.fake.writes()) == 1


# --- views, lists, tags ---


def test_a_view_keeps_what_is_not_changed(world):
    view = world.do("list_view_create", listId=world.list, name="Hot", tags=["urgent"], viewType="board")["view"]["id"]
    world.do("view_update", viewId=view, statuses=["to do"])
    kept = world.fake.views[view]
    assert (kept["name"], kept["type"], kept["parent"]) == ("Hot", "board", {"id": world.list, "type": 6})
    assert [item["field"] for item in kept["filters"]["fields"]] == ["tag", "status"]
    world.do("view_update", viewId=view, filters_remove=True)
    assert kept["filters"]["fields"] == []


def test_a_tag_that_is_not_there_names_those_that_are(world):
    assert (
        refusal(world, "space_tag_delete", spaceId=world.space, name="x")
        == f"Space {world.space} has no tag “x”. It has: urgent."
    )
    world.do("space_tag_update", spaceId=world.space, currentName="URGENT", name="hot")
    assert world.fake.spaces[world.space]["tags"] == [{"name": "hot", "tag_fg": "#111111", "tag_bg": "#222222"}]


# --- the documentation ---


def test_pages_of_the_documentation_are_read_without_a_token_and_shared(world):
    assert world.call("reference_link_list") == {
        "links": [
            {"title": "Tasks", "url": "https://developer.clickup.com/docs/tasks.md", "about": "All about tasks"},
            {"title": "Docs", "url": "https://developer.clickup.com/docs/docs.md"},
        ],
        "hasMore": False,
    }
    page = world.call("reference_page_fetch", url="https://developer.clickup.com/docs/tasks", maxCharacters=100)
    assert (page["cut"], len(page["content"])) == (True, 100)
    before = len(world.fake.sent)
    world.run("reference_link_list", {}, owner="bob")
    assert len(world.fake.sent) == before
    assert "status 404" in refusal(world, "reference_page_fetch", url="https://developer.clickup.com/docs/none")


@pytest.mark.parametrize(
    "url",
    [
        "http://developer.clickup.com/docs", "https://evil.example/docs", "https://developer.clickup.com.evil.example/",
        "https://developer.clickup.com@evil.example/", "https://developer.clickup.com:8443/", "https://x@developer.clickup.com/",
        "file:///etc/passwd", "https://developer.clickup.com/docs/../../x", "https://api.clickup.com/api/v2/user", "//x", "https://[",
    ],
)  # fmt: skip
def test_nothing_but_the_documentation_is_fetched(world, url):
    with pytest.raises(ToolError):
        world.run("reference_page_fetch", {"url": url})
    assert world.fake.sent == []


# --- system ---


def test_the_catalogue_lists_itself_and_all_others(world):
    world.settings["charLimit"] = 200_000
    listed = world.call("tool_catalogue", verbose=True)
    assert (listed["total"], listed["reading"], listed["writing"]) == (79, 41, 38)
    assert "tool_catalogue" in [tool["name"] for tool in listed["tools"]]


def test_what_a_plan_does_not_have_is_told(world):
    world.fake.fail(answer({"err": "Upgrade"}, 403), operation="GET /v3/workspaces/{}/docs")
    found = world.call("workspace_capability_snapshot")
    assert found["docs"]["available"] is False
    assert found["timeTracking"] == {"available": True}


# --- resources ---


def read(world: World, uri: str) -> dict:
    for template in CONNECTOR.templates:
        if (values := match_template(template.uri_template, uri)) is not None:
            contents = template.read(world.context(), uri, values)
            assert [item["uri"] for item in contents] == [uri]
            return json.loads(contents[0]["text"])
    raise AssertionError(f"no template fits {uri}")


def test_resources_show_a_workspace_a_list_and_a_doc(world):
    tree = read(world, "clickup://workspace/1/hierarchy")
    assert [space["name"] for space in tree["spaces"]] == ["Marketing", "Secret"]
    assert [task["name"] for task in read(world, f"clickup://space/{world.space}/list/{world.list}")["tasks"]] == [
        "Write the ad", "Print flyers",
    ]  # fmt: skip
    assert [page["name"] for page in read(world, f"clickup://doc/{world.doc}")["pages"]] == ["Goals", "Details"]
    assert read(world, f"clickup://doc/{world.doc}/page/{world.page}")["content"] == "Sell a thousand umbrellas"
    assert world.fake.problems == []


@pytest.mark.parametrize(
    "uri", ["clickup://space/1/list/{list}", "clickup://workspace/9/hierarchy", "clickup://doc/%2e%2e", "clickup://doc/a%2Fb"]
)
def test_a_resource_that_is_not_there_is_refused(world, uri):
    with pytest.raises(ToolError):
        read(world, uri.replace("{list}", world.list))


def test_ids_in_resource_addresses_are_completed(world):
    complete = CONNECTOR.templates[1].complete
    assert complete(world.context(), "spaceId", "") == [world.space, world.secret]
    assert complete(world.context(), "docId", "d-") == [world.doc, world.secret_doc]
    assert complete(world.context(), "listId", "") == []


def test_a_path_that_is_read_anew_knows_a_space_called_like_its_workspace(world):
    assert world.call("hierarchy_resolve_path", path=["Acme"])["type"] == "workspace"
    world.call("hierarchy_resolve_path", path=["Acme", "Marketing"])  # now there is a copy of the spaces
    space = world.fake.add_space("Acme")
    assert world.call("hierarchy_resolve_path", path=["Acme"], forceRefresh=True)["id"] == space


def test_the_same_report_is_not_read_twice_within_a_minute(world):
    for seconds in (0.0, 0.3):
        world.clock.seconds = seconds
        world.call("task_status_report", listId=world.list, dueWithinDays=7)
    assert len(world.fake.sent) == 1


def test_pages_that_are_named_are_not_left_out_in_silence(world):
    said = refusal(world, "doc_read", docId=world.doc, pageIds=[world.page], includePages=False)
    assert (said, world.fake.sent) == ("Pages are named, but includePages is false.", [])


@pytest.mark.parametrize(
    ("query", "text", "likeness"),
    [
        ("paint fence", "Paint the fence", 0.95),
        ("paint fence", "PAINT FENCE", 1.0),
        ("piant fence", "Paint the fence", 0.95 * (0.8 + 1) / 2),
        ("paint fence", "paint the house", 0.95 / 2),
        ("paint", "buy milk", 0.0),
        ("paint", "", 0.0),
    ],
)
def test_a_text_is_like_a_query_as_far_as_its_words_are(query, text, likeness):
    assert Likeness(query).of_text(text) == pytest.approx(likeness)


def test_a_word_is_compared_once_in_however_many_tasks_it_occurs(monkeypatch):
    compared = []

    class Counting(SequenceMatcher):
        def set_seq1(self, a: str) -> None:
            compared.append(a)
            super().set_seq1(a)

    monkeypatch.setattr("connectors.clickup.task_pages.SequenceMatcher", Counting)
    tasks = [{"name": f"Task number{index % 10}", "description": "the same words again and again " * 30} for index in range(500)]
    assert len(rank(tasks, "tsak number7", 1000)) == 500
    assert 20 < len(compared) <= 2 * (1 + 1 + 10 + 5)  # for each word of the query: where it begins, and each other word once


def test_what_grows_when_it_is_done_again_does_not_claim_to_be_idempotent(world):
    for _ in range(2):
        world.do("view_update", viewId=world.view, tags=["urgent"])
    assert len(world.fake.views[world.view]["filters"]["fields"]) == 2
    tools = {tool.name: tool for tool in (*CONNECTOR.tools, *CONNECTORS["google_workspace"].tools)}
    growing = ("view_update", "find_and_replace_doc", "find_replace_sheet", "replace_text_in_presentation")
    assert not any(tools[name].idempotent for name in growing)
