"""A ClickUp in memory: what it is told it keeps, and what is not in ClickUp's description it does not take."""

from __future__ import annotations

import itertools
import json
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import unquote, urlsplit

from connector_world import Rate, deliver

from clickup.contract import faults_of, find_operation
from fetch import VENDOR, Response

BASE = "https://api.clickup.com/api"
REFERENCE = "https://developer.clickup.com"
INDEX = f"# ClickUp\n- [Tasks]({REFERENCE}/docs/tasks.md): All about tasks\n- [Docs]({REFERENCE}/docs/docs.md)\n- [Ad](https://example.com)\n"
TOKEN = "pk_1_ALICE_SECRET"
NOW_MS = 1_790_000_000_000
DAY = 86_400_000
PAGE = 100
COMMENT_PAGE = 25
ALICE = {"id": 11, "username": "Alice Archer", "email": "alice@example.com", "role": 1}
BOB = {"id": 12, "username": "Bob Baker", "email": "bob@example.com", "role": 3}
STATUSES = [
    {"status": "to do", "type": "open", "color": "#aaa", "orderindex": 0},
    {"status": "in progress", "type": "custom", "color": "#bbb", "orderindex": 1},
    {"status": "complete", "type": "closed", "color": "#ccc", "orderindex": 2},
]
PRIORITIES = {1: "urgent", 2: "high", 3: "normal", 4: "low"}


class Missing(Exception):
    """There is nothing of this id."""


@dataclass
class Sent:
    """A request that came."""

    method: str
    operation: str
    path: str
    ids: tuple[str, ...]
    query: list[tuple[str, str]]
    body: Any
    form: bytes | None
    headers: dict[str, str]

    def many(self, name: str) -> list[str]:
        """All values of a query parameter."""
        return [value for key, value in self.query if key in (name, name + "[]")]

    def one(self, name: str) -> str | None:
        """The value of a query parameter."""
        return next(iter(self.many(name)), None)

    @property
    def shown(self) -> str:
        """What can be compared: all that the request says."""
        return json.dumps([self.method, self.path, sorted(self.query), self.body, repr(self.form)], sort_keys=True)


@dataclass
class FakeClickUp:
    """Answers like ClickUp. `faults` come first, in order: a Response, or an error to raise, each for one request that fits."""

    tokens: set[str] = field(default_factory=lambda: {TOKEN})
    sent: list[Sent] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    faults: list[tuple[Callable[[Sent], bool], Any]] = field(default_factory=list)
    rate: Rate | None = None

    def __post_init__(self) -> None:
        self.numbers = itertools.count(1000)
        self.teams = {"1": {"id": "1", "name": "Acme", "color": "#000", "members": [{"user": ALICE}, {"user": BOB}]}}
        self.spaces: dict[str, Any] = {}
        self.folders: dict[str, Any] = {}
        self.lists: dict[str, Any] = {}
        self.tasks: dict[str, Any] = {}
        self.comments: dict[str, list[Any]] = {}
        self.fields: dict[str, list[Any]] = {}
        self.entries: dict[str, Any] = {}
        self.docs: dict[str, Any] = {}
        self.pages: dict[str, Any] = {}
        self.views: dict[str, Any] = {}
        self.checklists: dict[str, Any] = {}
        self.running: str | None = None

    # --- the door ---

    def request(self, method: str, url: str, *, trust: Any, headers: Any = None, params: Any = None, json: Any = None,
                form: Any = None, timeout: float = 30, max_bytes: int = 0) -> Response:  # fmt: skip
        """What `fetch.Fetcher.request` does."""
        assert trust is VENDOR
        assert timeout > 0
        if url.startswith(REFERENCE):
            assert headers is None
            return self.read_reference(url)
        assert url.startswith(BASE + "/"), url
        came = deliver(method, url, headers, params, json, form)
        path = urlsplit(came.url).path.removeprefix("/api")
        found = find_operation(method, path)
        if found is None:
            self.problems.append(f"{method} {path} is not in ClickUp's description")
            return answer({"err": "Route not found", "ECODE": "APP_001"}, 404)
        operation, ids = found
        sent = Sent(method, operation, path, tuple(map(unquote, ids)), came.query, came.json, came.form, dict(headers))
        self.sent.append(sent)
        self.problems += [f"{operation}: {fault}" for fault in faults_of(operation, sent.query, headers, sent.body, sent.form)]
        return self.respond(sent)

    def read_reference(self, url: str) -> Response:
        """A page of the documentation, as Markdown."""
        self.sent.append(Sent("GET", "reference", url, (), [], None, None, {}))
        pages = {"/llms.txt": INDEX, "/docs/tasks.md": "# Tasks\n" + "About tasks. " * 100}
        text = pages.get(url.removeprefix(REFERENCE))
        return Response(200 if text else 404, {}, (text or "").encode(), "developer.clickup.com")

    def respond(self, sent: Sent) -> Response:
        """A fault if one is due, else what the operation does."""
        for index, (fits, fault) in enumerate(self.faults):
            if fits(sent):
                del self.faults[index]
                if isinstance(fault, Exception):
                    raise fault
                return fault(sent) if callable(fault) else fault
        if self.rate and (wait := self.rate.wait()) is not None:
            reset = str(math.ceil(NOW_MS / 1000 + self.rate.clock() + wait))
            return answer({"err": "Rate limit reached", "ECODE": "APP_002"}, 429, X_RateLimit_Reset=reset)
        token = sent.headers["Authorization"]
        if token.removeprefix("Bearer ") not in self.tokens or token.startswith("Bearer pk_"):
            return answer({"err": "Token invalid", "ECODE": "OAUTH_025"}, 401)
        try:
            return answer(HANDLERS[sent.operation](self, sent))
        except Missing:
            return answer({"err": "Not found", "ECODE": "ITEM_013"}, 404)

    def fail(self, fault: Any, times: int = 1, **wanted: Any) -> None:
        """Let the next requests fail: `method` and `operation` choose which."""

        def fits(sent: Sent) -> bool:
            return all(getattr(sent, name) == value for name, value in wanted.items())

        self.faults += [(fits, fault)] * times

    def writes(self) -> list[Sent]:
        """All that came and was no GET."""
        return [sent for sent in self.sent if sent.method != "GET"]

    # --- things to begin with ---

    def new_id(self) -> str:
        return str(next(self.numbers))

    def add_space(self, name: str, team: str = "1") -> str:
        space_id = self.new_id()
        self.spaces[space_id] = {"id": space_id, "name": name, "private": False, "statuses": STATUSES, "team": team, "tags": []}
        return space_id

    def add_folder(self, name: str, space: str) -> str:
        folder_id = self.new_id()
        self.folders[folder_id] = {"id": folder_id, "name": name, "hidden": False, "space": self.ref(self.spaces, space)}
        return folder_id

    def add_list(self, name: str, space: str, folder: str | None = None) -> str:
        list_id = self.new_id()
        inside = self.ref(self.folders, folder) if folder else {"id": "0", "name": "hidden", "hidden": True}
        self.lists[list_id] = {"id": list_id, "name": name, "folder": inside, "space": self.ref(self.spaces, space)}
        self.fields[list_id] = [
            {"id": "f-size", "name": "Size", "type": "drop_down", "type_config": {"options": [{"id": "o-1", "name": "Big"}]}},
            {"id": "f-note", "name": "Note", "type": "short_text", "type_config": {}},
        ]
        return list_id

    def add_task(self, name: str, list_id: str, **facts: Any) -> str:
        task_id = facts.pop("id", None) or f"t{self.new_id()}"
        home = self.lists[list_id]
        self.tasks[task_id] = {
            "id": task_id, "custom_id": None, "name": name, "description": "", "status": STATUSES[0], "priority": None,
            "assignees": [], "tags": [], "parent": None, "due_date": None, "date_created": str(NOW_MS), "checklists": [],
            "date_updated": str(NOW_MS + len(self.tasks)), "locations": [], "custom_fields": [], "attachments": [],
            "creator": ALICE, "list": {"id": list_id, "name": home["name"]}, "folder": home["folder"],
            "space": {"id": home["space"]["id"]}, "url": f"https://app.clickup.com/t/{task_id}", **facts,
        }  # fmt: skip
        return task_id

    def add_doc(self, name: str, parent: str, kind: int = 5) -> str:
        doc_id = f"d-{self.new_id()}"
        self.docs[doc_id] = {
            "id": doc_id, "name": name, "parent": {"id": parent, "type": kind}, "workspace_id": 1, "date_updated": NOW_MS,
        }  # fmt: skip
        return doc_id

    def add_page(self, doc: str, name: str, content: str = "", parent: str | None = None) -> str:
        page_id = f"p-{self.new_id()}"
        self.pages[page_id] = {
            "id": page_id, "doc_id": doc, "workspace_id": 1, "name": name, "content": content, "date_created": NOW_MS,
            **({"parent_page_id": parent} if parent else {}),
        }  # fmt: skip
        return page_id

    def add_entry(self, task: str | None, start: int, duration: int, /, **facts: Any) -> str:
        entry_id = f"{self.new_id()}"
        self.entries[entry_id] = {
            "id": entry_id, "task": self.ref(self.tasks, task) if task else None, "user": ALICE, "start": str(start),
            "duration": str(duration), "end": str(start + duration), "description": "", "tags": [], "billable": False, **facts,
        }  # fmt: skip
        return entry_id

    def add_view(self, name: str, parent: str, kind: int) -> str:
        view_id = f"v-{self.new_id()}"
        self.views[view_id] = {"id": view_id, "name": name, "type": "list", "parent": {"id": parent, "type": kind}}
        return view_id

    @staticmethod
    def ref(shelf: dict[str, Any], key: str) -> dict[str, Any]:
        return {"id": key, "name": shelf[key]["name"]}


# --- what the operations do ---


def get(shelf: dict[str, Any], key: str) -> Any:
    """What has this id; raises Missing."""
    if key not in shelf:
        raise Missing
    return shelf[key]


def find_task(fake: FakeClickUp, sent: Sent) -> dict[str, Any]:
    """The task of a path; by its custom id only if the request says so."""
    wanted = sent.ids[0]
    if sent.one("custom_task_ids") == "true":
        if sent.one("team_id") != "1":
            raise Missing
        return next((task for task in fake.tasks.values() if task["custom_id"] == wanted), None) or get({}, wanted)
    return get(fake.tasks, wanted)


def pass_filters(sent: Sent, tasks: Iterator[dict[str, Any]]) -> list[dict[str, Any]]:
    """The tasks that the query lets through, in its order."""
    found = []
    for task in tasks:
        checks = (
            sent.one("include_closed") == "true" or task["status"]["type"] != "closed",
            sent.one("subtasks") == "true" or task["parent"] is None,
            not sent.many("statuses") or task["status"]["status"] in sent.many("statuses"),
            not sent.many("tags") or {tag["name"] for tag in task["tags"]} & set(sent.many("tags")),
            not sent.many("assignees") or {str(user["id"]) for user in task["assignees"]} & set(sent.many("assignees")),
            not sent.one("due_date_lt") or (task["due_date"] and int(task["due_date"]) < int(sent.one("due_date_lt"))),
        )
        if all(checks):
            found.append(task)
    if sent.one("order_by") == "updated":
        found.sort(key=lambda task: int(task["date_updated"]), reverse=sent.one("reverse") == "true")
    return found


def page_of(sent: Sent, tasks: list[Any]) -> list[Any]:
    start = int(sent.one("page") or 0) * PAGE
    return [dict(task) for task in tasks[start : start + PAGE]]


def team_tasks(fake: FakeClickUp, sent: Sent) -> Any:
    get(fake.teams, sent.ids[0])
    wanted = [
        task
        for task in fake.tasks.values()
        if (not sent.many("list_ids") or task["list"]["id"] in sent.many("list_ids"))
        and (not sent.many("space_ids") or task["space"]["id"] in sent.many("space_ids"))
        and (not sent.many("project_ids") or task["folder"]["id"] in sent.many("project_ids"))
    ]
    return {"tasks": page_of(sent, pass_filters(sent, iter(wanted)))}


def list_tasks(fake: FakeClickUp, sent: Sent) -> Any:
    list_id = get(fake.lists, sent.ids[0])["id"]
    many = sent.one("include_timl") == "true"
    wanted = [
        task
        for task in fake.tasks.values()
        if (task["list"]["id"] == list_id and (many or not task["locations"]))
        or (many and any(place["id"] == list_id for place in task["locations"]))
    ]
    found = pass_filters(sent, iter(wanted))
    return {"tasks": page_of(sent, found), "last_page": (int(sent.one("page") or 0) + 1) * PAGE >= len(found)}


def create_task(fake: FakeClickUp, sent: Sent) -> Any:
    get(fake.lists, sent.ids[0])
    body = sent.body
    if body.get("parent"):
        get(fake.tasks, body["parent"])
    task_id = fake.add_task(
        body["name"],
        sent.ids[0],
        description=body.get("markdown_content", ""),
        parent=body.get("parent"),
        assignees=people(body.get("assignees", [])),
        tags=[{"name": tag} for tag in body.get("tags", [])],
        due_date=str(body["due_date"]) if body.get("due_date") else None,
        priority=priority(body.get("priority")),
    )
    make_tags(fake, fake.tasks[task_id]["space"]["id"], body.get("tags", []))
    return fake.tasks[task_id]


def people(ids: list[int]) -> list[dict[str, Any]]:
    return [user for user in (ALICE, BOB) if user["id"] in ids]


def priority(number: int | None) -> dict[str, str] | None:
    return {"id": str(number), "priority": PRIORITIES[number]} if number else None


def read_task(fake: FakeClickUp, sent: Sent) -> Any:
    task = dict(find_task(fake, sent))
    if sent.one("include_markdown_description") == "true":
        task["markdown_description"] = task["description"]
    if sent.one("include_subtasks") == "true":
        task["subtasks"] = [other for other in fake.tasks.values() if other["parent"] == task["id"]]
    return task


def update_task(fake: FakeClickUp, sent: Sent) -> Any:
    task, body = find_task(fake, sent), sent.body
    for name in ("name", "parent"):
        task[name] = body.get(name, task[name])
    task["description"] = body.get("markdown_content", task["description"])
    if "status" in body:
        task["status"] = next((item for item in STATUSES if item["status"] == body["status"]), None) or get({}, "status")
    if "priority" in body:
        task["priority"] = priority(body["priority"])
    if "due_date" in body:
        task["due_date"] = str(body["due_date"])
    change = body.get("assignees", {"add": [], "rem": []})
    kept = [user["id"] for user in task["assignees"] if user["id"] not in change["rem"]]
    task["assignees"] = people([*kept, *change["add"]])
    return task


def delete_task(fake: FakeClickUp, sent: Sent) -> Any:
    del fake.tasks[find_task(fake, sent)["id"]]
    return {}


def add_tag(fake: FakeClickUp, sent: Sent) -> Any:
    task = find_task(fake, sent)
    task["tags"] = [*[tag for tag in task["tags"] if tag["name"] != sent.ids[1]], {"name": sent.ids[1]}]
    make_tags(fake, task["space"]["id"], [sent.ids[1]])
    return {}


def make_tags(fake: FakeClickUp, space: str, names: list[str]) -> None:
    """ClickUp makes the tags that a space does not have yet."""
    tags = fake.spaces[space]["tags"]
    known = {tag["name"].casefold() for tag in tags}
    tags += [{"name": name, "tag_fg": "#000000", "tag_bg": "#000000"} for name in names if name.casefold() not in known]


def remove_tag(fake: FakeClickUp, sent: Sent) -> Any:
    task = find_task(fake, sent)
    task["tags"] = [tag for tag in task["tags"] if tag["name"] != sent.ids[1]]
    return {}


def add_comment(fake: FakeClickUp, sent: Sent) -> Any:
    comments = fake.comments.setdefault(find_task(fake, sent)["id"], [])
    comment = {"id": fake.new_id(), "comment_text": sent.body["comment_text"], "user": ALICE, "resolved": False}
    comments.insert(0, {**comment, "date": str(NOW_MS + len(comments)), "reply_count": "0"})
    return {"id": int(comment["id"]), "hist_id": "h", "date": NOW_MS}


def list_comments(fake: FakeClickUp, sent: Sent) -> Any:
    comments = fake.comments.get(find_task(fake, sent)["id"], [])
    ids = [comment["id"] for comment in comments]
    start = ids.index(sent.one("start_id")) + 1 if sent.one("start_id") else 0
    return {"comments": comments[start : start + COMMENT_PAGE]}


def attach(fake: FakeClickUp, sent: Sent) -> Any:
    assert b"\r\n\r\n" in sent.form
    attachment = {"id": "a-1.txt", "title": "note.txt", "url": "https://attachments.clickup.com/a-1.txt", "date": NOW_MS}
    find_task(fake, sent)["attachments"].append(attachment)
    return attachment


def set_field(fake: FakeClickUp, sent: Sent) -> Any:
    task = find_task(fake, sent)
    known = next((item for item in fake.fields[task["list"]["id"]] if item["id"] == sent.ids[1]), None) or get({}, "field")
    others = [item for item in task["custom_fields"] if item["id"] != sent.ids[1]]
    task["custom_fields"] = others + ([{**known, "value": sent.body["value"]}] if sent.body else [])
    return {}


def add_checklist(fake: FakeClickUp, sent: Sent) -> Any:
    checklist = {"id": f"c-{fake.new_id()}", "name": sent.body["name"], "items": []}
    find_task(fake, sent)["checklists"].append(checklist)
    fake.checklists[checklist["id"]] = checklist
    return {"checklist": checklist}


def add_checklist_item(fake: FakeClickUp, sent: Sent) -> Any:
    checklist = get(fake.checklists, sent.ids[0])
    checklist["items"].append({"name": sent.body["name"], "resolved": False})
    return {"checklist": checklist}


# time


def list_entries(fake: FakeClickUp, sent: Sent) -> Any:
    get(fake.teams, sent.ids[0])
    start, end = int(sent.one("start_date") or 0), int(sent.one("end_date") or 10**15)
    wanted = sent.one("task_id")
    if sent.one("custom_task_ids") == "true":
        wanted = next(task["id"] for task in fake.tasks.values() if task["custom_id"] == wanted)
    found = []
    for entry in fake.entries.values():
        task = fake.tasks.get((entry["task"] or {}).get("id", ""), {})
        places = {"list_id": task.get("list"), "folder_id": task.get("folder"), "space_id": task.get("space")}
        in_place = all(not sent.one(name) or (place or {}).get("id") == sent.one(name) for name, place in places.items())
        people_ok = not sent.one("assignee") or str(entry["user"]["id"]) in sent.one("assignee").split(",")
        if start <= int(entry["start"]) <= end and (not wanted or task.get("id") == wanted) and in_place and people_ok:
            found.append({**entry, "task_tags": task.get("tags", [])} if sent.one("include_task_tags") == "true" else entry)
    return {"data": found}


def create_entry(fake: FakeClickUp, sent: Sent) -> Any:
    body = sent.body
    task = next((task for task in fake.tasks.values() if body["tid"] in (task["id"], task["custom_id"])), None) or get({}, "tid")
    entry_id = fake.add_entry(task["id"], body["start"], body["duration"], description=body.get("description", ""))
    return {"data": fake.entries[entry_id]}


def update_entry(fake: FakeClickUp, sent: Sent) -> Any:
    entry = get(fake.entries, sent.ids[1])
    entry |= {name: str(sent.body[name]) for name in ("start", "end", "duration") if name in sent.body}
    entry["description"] = sent.body.get("description", entry["description"])
    return {"data": [entry]}


def delete_entry(fake: FakeClickUp, sent: Sent) -> Any:
    get(fake.entries, sent.ids[1])
    return {"data": fake.entries.pop(sent.ids[1])}


def start_timer(fake: FakeClickUp, sent: Sent) -> Any:
    task = next(task for task in fake.tasks.values() if sent.body["tid"] in (task["id"], task["custom_id"]))
    fake.running = fake.add_entry(task["id"], NOW_MS, 0, duration=-NOW_MS)
    return {"data": fake.entries[fake.running]}


def stop_timer(fake: FakeClickUp, sent: Sent) -> Any:
    entry = get(fake.entries, fake.running or "")
    fake.running, entry["duration"] = None, 60_000
    return {"data": entry}


def current(fake: FakeClickUp, sent: Sent) -> Any:
    return {"data": fake.entries[fake.running] if fake.running else None}


# docs


def list_docs(fake: FakeClickUp, sent: Sent) -> Any:
    found = [doc for doc in fake.docs.values() if sent.one("parent_id") in (None, doc["parent"]["id"])]
    start, limit = int(sent.one("cursor") or 0), int(sent.one("limit"))
    more = {"next_cursor": str(start + limit)} if start + limit < len(found) else {}
    return {"docs": found[start : start + limit], **more}


def create_doc(fake: FakeClickUp, sent: Sent) -> Any:
    parent = sent.body["parent"]
    doc_id = fake.add_doc(sent.body["name"], parent["id"], parent["type"])
    if sent.body["create_page"]:
        fake.add_page(doc_id, "")
    return fake.docs[doc_id]


def tree(fake: FakeClickUp, doc: str, parent: str | None, *, text: bool) -> list[Any]:
    pages = [page for page in fake.pages.values() if page["doc_id"] == doc and page.get("parent_page_id") == parent]
    shown = [page if text else {name: value for name, value in page.items() if name != "content"} for page in pages]
    return [{**page, "pages": tree(fake, doc, page["id"], text=text)} for page in shown]


def create_page(fake: FakeClickUp, sent: Sent) -> Any:
    get(fake.docs, sent.ids[1])
    body = sent.body
    return fake.pages[fake.add_page(sent.ids[1], body["name"], body.get("content", ""), body.get("parent_page_id"))]


def update_page(fake: FakeClickUp, sent: Sent) -> Any:
    page = get(fake.pages, sent.ids[2])
    page["name"] = sent.body.get("name", page["name"])
    if "content" in sent.body:
        old, new = page["content"], sent.body["content"]
        page["content"] = {"replace": new, "append": old + new, "prepend": new + old}[sent.body["content_edit_mode"]]
    return None


# structure


def list_lists(fake: FakeClickUp, where: str, key: str) -> Any:
    get(fake.spaces if where == "space" else fake.folders, key)
    found = [item for item in fake.lists.values() if item[where]["id"] == key]
    return {"lists": [item for item in found if where == "folder" or item["folder"].get("hidden")]}


def rename(shelf: dict[str, Any], sent: Sent) -> Any:
    item = get(shelf, sent.ids[0])
    item |= {name: value for name, value in sent.body.items() if name in ("name", "content", "markdown_content")}
    return item


def create_list(fake: FakeClickUp, space: str, folder: str | None, name: str) -> Any:
    get(fake.spaces, space)
    return fake.lists[fake.add_list(name, space, folder)]


def space_of(fake: FakeClickUp, folder: str) -> str:
    return get(fake.folders, folder)["space"]["id"]


def create_view(fake: FakeClickUp, sent: Sent, kind: int) -> Any:
    view_id = fake.add_view(sent.body["name"], sent.ids[0], kind)
    fake.views[view_id] |= sent.body
    return {"view": fake.views[view_id]}


def update_view(fake: FakeClickUp, sent: Sent) -> Any:
    get(fake.views, sent.ids[0]).update(sent.body)
    return {"view": fake.views[sent.ids[0]]}


def view_tasks(fake: FakeClickUp, sent: Sent) -> Any:
    parent = get(fake.views, sent.ids[0])["parent"]
    found = [task for task in fake.tasks.values() if parent["id"] in (task["list"]["id"], task["space"]["id"])]
    return {"tasks": page_of(sent, found), "last_page": True}


def create_space_tag(fake: FakeClickUp, sent: Sent) -> Any:
    get(fake.spaces, sent.ids[0])["tags"].append(sent.body["tag"])
    return {}


def find_space_tag(fake: FakeClickUp, sent: Sent) -> dict[str, Any]:
    tags = get(fake.spaces, sent.ids[0])["tags"]
    return next((tag for tag in tags if tag["name"] == sent.ids[1]), None) or get({}, "tag")


def update_space_tag(fake: FakeClickUp, sent: Sent) -> Any:
    tag, new = find_space_tag(fake, sent), sent.body["tag"]
    tag |= {"name": new["name"], "tag_fg": new["fg_color"], "tag_bg": new["bg_color"]}
    return {"tag": new}


def delete_space_tag(fake: FakeClickUp, sent: Sent) -> Any:
    fake.spaces[sent.ids[0]]["tags"].remove(find_space_tag(fake, sent))
    return {}


def remove(name: str) -> Callable[[FakeClickUp, Sent], Any]:
    """An operation that takes something away."""

    def run(fake: FakeClickUp, sent: Sent) -> Any:
        get(getattr(fake, name), sent.ids[0])
        del getattr(fake, name)[sent.ids[0]]
        return {}

    return run


DOC = "/v3/workspaces/{}/docs"
HANDLERS: dict[str, Callable[[FakeClickUp, Sent], Any]] = {
    "GET /v2/user": lambda fake, sent: {"user": ALICE},
    "GET /v2/team": lambda fake, sent: {"teams": list(fake.teams.values())},
    "GET /v2/team/{}/space": lambda fake, sent: {
        "spaces": [item for item in fake.spaces.values() if item["team"] == get(fake.teams, sent.ids[0])["id"]]
    },
    "GET /v2/space/{}": lambda fake, sent: get(fake.spaces, sent.ids[0]),
    "GET /v2/space/{}/folder": lambda fake, sent: {
        "folders": [item for item in fake.folders.values() if item["space"]["id"] == get(fake.spaces, sent.ids[0])["id"]]
    },
    "GET /v2/space/{}/list": lambda fake, sent: list_lists(fake, "space", sent.ids[0]),
    "GET /v2/folder/{}": lambda fake, sent: get(fake.folders, sent.ids[0]),
    "GET /v2/folder/{}/list": lambda fake, sent: list_lists(fake, "folder", sent.ids[0]),
    "GET /v2/list/{}": lambda fake, sent: get(fake.lists, sent.ids[0]),
    "GET /v2/list/{}/task": list_tasks,
    "GET /v2/list/{}/field": lambda fake, sent: {"fields": get(fake.fields, sent.ids[0])},
    "GET /v2/team/{}/task": team_tasks,
    "GET /v2/task/{}": read_task,
    "GET /v2/task/{}/comment": list_comments,
    "GET /v2/space/{}/tag": lambda fake, sent: {"tags": get(fake.spaces, sent.ids[0])["tags"]},
    "POST /v2/space/{}/tag": create_space_tag,
    "PUT /v2/space/{}/tag/{}": update_space_tag,
    "DELETE /v2/space/{}/tag/{}": delete_space_tag,
    "GET /v2/view/{}": lambda fake, sent: {"view": get(fake.views, sent.ids[0])},
    "GET /v2/view/{}/task": view_tasks,
    "POST /v2/space/{}/folder": lambda fake, sent: fake.folders[fake.add_folder(sent.body["name"], sent.ids[0])],
    "PUT /v2/folder/{}": lambda fake, sent: rename(fake.folders, sent),
    "DELETE /v2/folder/{}": remove("folders"),
    "POST /v2/space/{}/list": lambda fake, sent: create_list(fake, sent.ids[0], None, sent.body["name"]),
    "POST /v2/folder/{}/list": lambda fake, sent: create_list(fake, space_of(fake, sent.ids[0]), sent.ids[0], sent.body["name"]),
    "PUT /v2/list/{}": lambda fake, sent: rename(fake.lists, sent),
    "DELETE /v2/list/{}": remove("lists"),
    "POST /v2/space/{}/list_template/{}": lambda fake, sent: {"list": create_list(fake, sent.ids[0], None, sent.body["name"])},
    "POST /v2/folder/{}/list_template/{}": lambda fake, sent: {
        "list": create_list(fake, space_of(fake, sent.ids[0]), sent.ids[0], sent.body["name"])
    },
    "POST /v2/space/{}/view": lambda fake, sent: create_view(fake, sent, 4),
    "POST /v2/list/{}/view": lambda fake, sent: create_view(fake, sent, 6),
    "PUT /v2/view/{}": update_view,
    "DELETE /v2/view/{}": remove("views"),
    "POST /v2/list/{}/task": create_task,
    "PUT /v2/task/{}": update_task,
    "DELETE /v2/task/{}": delete_task,
    "POST /v2/task/{}/comment": add_comment,
    "POST /v2/task/{}/attachment": attach,
    "POST /v2/task/{}/tag/{}": add_tag,
    "DELETE /v2/task/{}/tag/{}": remove_tag,
    "POST /v2/task/{}/field/{}": set_field,
    "DELETE /v2/task/{}/field/{}": set_field,
    "POST /v2/task/{}/checklist": add_checklist,
    "POST /v2/checklist/{}/checklist_item": add_checklist_item,
    "GET /v2/team/{}/time_entries": list_entries,
    "POST /v2/team/{}/time_entries": create_entry,
    "GET /v2/team/{}/time_entries/{}": lambda fake, sent: {"data": get(fake.entries, sent.ids[1])},
    "PUT /v2/team/{}/time_entries/{}": update_entry,
    "DELETE /v2/team/{}/time_entries/{}": delete_entry,
    "POST /v2/team/{}/time_entries/start": start_timer,
    "POST /v2/team/{}/time_entries/stop": stop_timer,
    "GET /v2/team/{}/time_entries/current": current,
    f"GET {DOC}": list_docs,
    f"POST {DOC}": create_doc,
    f"GET {DOC}/{{}}": lambda fake, sent: get(fake.docs, sent.ids[1]),
    f"GET {DOC}/{{}}/page_listing": lambda fake, sent: tree(fake, get(fake.docs, sent.ids[1])["id"], None, text=False),
    f"GET {DOC}/{{}}/pages": lambda fake, sent: tree(fake, get(fake.docs, sent.ids[1])["id"], None, text=True),
    f"POST {DOC}/{{}}/pages": create_page,
    f"GET {DOC}/{{}}/pages/{{}}": lambda fake, sent: get(fake.pages, sent.ids[2]),
    f"PUT {DOC}/{{}}/pages/{{}}": update_page,
}


def answer(value: Any, status: int = 200, **headers: str) -> Response:
    """An answer with a JSON body; none for None."""
    named = {name.replace("_", "-"): text for name, text in headers.items()}
    body = b"" if value is None else json.dumps(value).encode()
    return Response(status, {"Content-Type": "application/json", **named}, body, "api.clickup.com")
