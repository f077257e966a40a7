"""Doc tools: docs and their pages. Docs are only in v3 of ClickUp's interface."""

from __future__ import annotations

from typing import Annotated, Any, Literal, NotRequired

from pydantic import Field
from typing_extensions import TypedDict

from connectors.clickup.access import Target
from connectors.clickup.api import Api, Request, objects
from connectors.clickup.moments import show_moment
from connectors.clickup.plans import Outcome, Step, Steps, reads, writes
from connectors.clickup.shapes import DocId, FolderId, Markdown, Name, PageId, Query, SpaceId, WorkspaceId
from connectors.clickup.task_pages import Likeness
from connectors.clickup.task_reading import Page as PageNumber
from errors import ToolError
from fitting import Answer, Report, compact
from service_pages import gather

DOCS = "/v3/workspaces/{workspace_id}/docs"
DOC = DOCS + "/{doc_id}"
PAGES = DOC + "/pages"
ONE_PAGE = PAGES + "/{page_id}"
PER_REQUEST = 100  # ClickUp's most
MAX_REQUESTS = 5
MAX_EXPANDED = 20  # docs whose pages one search reads
SNIPPET = 300
PARENTS = {4: "space", 5: "folder", 6: "list", 7: "everything", 12: "workspace"}
PreviewChars = Annotated[int, Field(ge=50, le=50_000, description="Characters of each page at most.")]
Limit = Annotated[int, Field(ge=1, le=100)]
Expand = Annotated[bool, Field(description="True: search the text of the pages too, of the latest docs.")]


class Doc(TypedDict):
    """A doc."""

    id: str
    name: str
    parentType: NotRequired[str]
    parentId: NotRequired[str]
    updatedAt: NotRequired[str]
    url: NotRequired[str]


class PageBrief(TypedDict):
    """A page's place in its doc."""

    id: str
    name: str
    parentPageId: NotRequired[str]
    depth: NotRequired[int]


class DocPage(PageBrief):
    """A page with its text, or the beginning of it."""

    content: NotRequired[str]
    cut: NotRequired[bool]
    updatedAt: NotRequired[str]
    url: NotRequired[str]


class DocWithPages(Doc):
    """A doc with the beginnings of its first pages."""

    pages: NotRequired[list[DocPage]]


class Docs(Report):
    """A page of docs."""

    docs: list[DocWithPages]
    page: int
    hasMore: bool


class OneDoc(Report):
    """A doc and its pages."""

    doc: Doc
    pages: list[DocPage]


class DocPages(Answer):
    """Some pages of a doc."""

    docId: str
    pages: list[DocPage]
    missing: NotRequired[list[str]]


class PageList(Answer):
    """Where the pages of a doc are."""

    docId: str
    pages: list[PageBrief]


class OnePage(Answer):
    """A page."""

    docId: str
    page: DocPage


class DocMatch(Doc):
    """A doc that fits a query, with the pages that do."""

    score: float
    pages: NotRequired[list[DocPage]]


class DocSearch(Report):
    """Docs that fit a query, the best first."""

    query: str
    results: list[DocMatch]


class DocMatches(TypedDict):
    """What was found for one query of several."""

    query: str
    results: list[DocMatch]


class DocSearches(Report):
    """What was found for several queries."""

    queries: list[DocMatches]


class DocOutcome(Outcome):
    """What became of a doc."""

    doc: NotRequired[Doc]
    page: NotRequired[DocPage]


class PageOutcome(Outcome):
    """What became of a page."""

    docId: NotRequired[str]
    page: NotRequired[DocPage]


# --- reading ---


@reads(title="List docs")
def doc_list(
    api: Api,
    workspaceId: WorkspaceId | None = None,
    search: Annotated[Query | None, Field(description="A part of the doc's name.")] = None,
    spaceId: SpaceId | None = None,
    folderId: FolderId | None = None,
    page: PageNumber = 0,
    limit: Limit = 20,
    includePreviews: Annotated[bool, Field(description="With the beginnings of pages.")] = True,
    previewPageLimit: Annotated[int, Field(ge=1, le=20)] = 3,
    previewCharLimit: PreviewChars = SNIPPET,
) -> Docs:
    """List the docs of a ClickUp workspace, or of one space or folder, with the beginnings of their first pages."""
    if spaceId and folderId:
        raise ToolError("Give either spaceId or folderId.")
    workspace_id = api.team_id(workspaceId)
    parent = {"parent_id": spaceId or folderId, "parent_type": "SPACE" if spaceId else "FOLDER"} if spaceId or folderId else {}
    docs, reasons = list_docs(api, workspace_id, parent)
    if search:
        docs = [doc for doc in docs if search.casefold() in str(doc.get("name")).casefold()]
    shown = docs[page * limit : (page + 1) * limit]
    pages: list[list[dict[str, Any]]] = [[] for _ in shown]
    if includePreviews:
        pages, missing = read_pages(api, workspace_id, shown)
        reasons += missing
    return {
        "docs": [
            show_doc(doc, workspace_id)
            | compact({"pages": [show_page(item, previewCharLimit) for item in flatten(found)[:previewPageLimit]]})
            for doc, found in zip(shown, pages, strict=True)
        ],
        "page": page,
        "hasMore": len(docs) > (page + 1) * limit,
        "partial": bool(reasons),
        "partialReasons": reasons,
    }


@reads(title="Read doc", core=True)
def doc_read(
    api: Api,
    docId: DocId,
    workspaceId: WorkspaceId | None = None,
    includePages: Annotated[bool, Field(description="With the text of pages.")] = True,
    pageIds: Annotated[list[PageId], Field(max_length=100)] | None = None,
    pageLimit: Limit = 20,
    previewCharLimit: PreviewChars = 4000,
) -> OneDoc:
    """Read a ClickUp doc and its pages, or those of them that are named."""
    if pageIds and not includePages:
        raise ToolError("Pages are named, but includePages is false.")
    workspace_id = api.team_id(workspaceId)
    doc = api.get(DOC, kind="docs", workspace_id=workspace_id, doc_id=docId)
    pages = flatten(get_pages(api, workspace_id, docId)) if includePages else []
    wanted = [item for item in pages if pageIds is None or item.get("id") in pageIds]
    reasons = [f"Only {pageLimit} of {len(wanted)} pages are shown."] if len(wanted) > pageLimit else []
    reasons += [f"There is no page {page_id}." for page_id in missing_of(pageIds, pages)] if includePages else []
    return {
        "doc": show_doc(doc, workspace_id),
        "pages": [show_page(item, previewCharLimit) for item in wanted[:pageLimit]],
        "partial": bool(reasons),
        "partialReasons": reasons,
    }


@reads(title="Read pages of a doc")
def doc_pages_read(
    api: Api,
    docId: DocId,
    pageIds: Annotated[list[PageId], Field(min_length=1, max_length=100)],
    workspaceId: WorkspaceId | None = None,
    previewCharLimit: PreviewChars = 4000,
) -> DocPages:
    """Read several pages of a ClickUp doc."""
    pages = flatten(get_pages(api, api.team_id(workspaceId), docId))
    found = {str(item.get("id")): show_page(item, previewCharLimit) for item in pages}
    shown: dict[str, Any] = {"docId": docId, "pages": [found[page_id] for page_id in pageIds if page_id in found]}
    missing = missing_of(pageIds, pages)
    return shown | ({"missing": missing} if missing else {})


@reads(title="List pages of a doc")
def doc_page_list(api: Api, docId: DocId, workspaceId: WorkspaceId | None = None) -> PageList:
    """List the pages of a ClickUp doc, in order, with their place in it; without their text."""
    answer = api.get(DOC + "/page_listing", kind="docs", workspace_id=api.team_id(workspaceId), doc_id=docId)
    return {"docId": docId, "pages": [show_place(item) for item in flatten(pages_in(answer))]}


@reads(title="Read page", core=True)
def doc_page_read(api: Api, docId: DocId, pageId: PageId) -> OnePage:
    """Read one page of a ClickUp doc, in Markdown."""
    ids = {"workspace_id": api.team_id(), "doc_id": docId, "page_id": pageId}
    page = api.get(ONE_PAGE, kind="docs", params={"content_format": "text/md"}, **ids)
    return {"docId": docId, "page": show_page({**page, "doc_id": docId, "workspace_id": ids["workspace_id"]}, None)}


@reads(title="Search docs", core=True, streams=True)
def doc_search(
    api: Api, query: Query, workspaceId: WorkspaceId | None = None, limit: Limit = 10, expandPages: Expand = False
) -> DocSearch:
    """Search ClickUp docs by name and, with expandPages, by the text of their pages; the best come first."""
    workspace_id = api.team_id(workspaceId)
    docs, pages, reasons = read_library(api, workspace_id, [query], expandPages)
    results = find_docs(docs, pages, workspace_id, query, limit)
    return {"query": query, "results": results, "partial": bool(reasons), "partialReasons": reasons}


@reads(title="Search docs, many queries", streams=True)
def doc_search_bulk(
    api: Api,
    queries: Annotated[list[Query], Field(min_length=1, max_length=20)],
    workspaceId: WorkspaceId | None = None,
    limit: Limit = 5,
    expandPages: Expand = False,
) -> DocSearches:
    """Search ClickUp docs for each of several queries, reading the workspace's docs only once."""
    workspace_id = api.team_id(workspaceId)
    docs, pages, reasons = read_library(api, workspace_id, queries, expandPages)
    results = [{"query": query, "results": find_docs(docs, pages, workspace_id, query, limit)} for query in queries]
    return {"queries": results, "partial": bool(reasons), "partialReasons": reasons}


# --- writing ---


@writes(title="Create doc", gives=DocOutcome, core=True)
def doc_create(
    api: Api, folderId: FolderId, name: Name, content: Markdown | None = None, workspaceId: WorkspaceId | None = None
) -> Steps:
    """Create a ClickUp doc in a folder, with a first page if there is content."""
    workspace_id = api.team_id(workspaceId)
    body = {"name": name, "parent": {"id": folderId, "type": 5}, "visibility": "PRIVATE", "create_page": content is None}
    request = Request("POST", DOCS, {"workspace_id": workspace_id}, json=body)
    doc = yield Step(request, f"create doc “{name}” in folder {folderId}", (Target("folder", folderId),))
    outcome: dict[str, Any] = {"summary": f"Created doc “{name}”.", "doc": show_doc(doc, workspace_id)}
    if content is not None:
        page = yield page_step(workspace_id, str(doc.get("id")), {"name": name, "content": content})
        outcome["page"] = show_page(page, SNIPPET)
    return outcome


@writes(title="Create page", gives=PageOutcome, core=True)
def doc_page_create(
    api: Api,
    docId: DocId,
    title: Name,
    content: Markdown | None = None,
    parentId: PageId | None = None,
    workspaceId: WorkspaceId | None = None,
) -> Steps:
    """Create a page in a ClickUp doc, at its end or under another page."""
    workspace_id = api.team_id(workspaceId)
    if parentId is not None:
        check_page(api, workspace_id, docId, parentId)
    body = {"name": title} | compact({"content": content, "parent_page_id": parentId})
    page = yield page_step(workspace_id, docId, body)
    return {"summary": f"Created page “{title}”.", "docId": docId, "page": show_page(page, SNIPPET)}


@writes(title="Change page", gives=PageOutcome, core=True, destructive=True)
def doc_page_update(
    api: Api,
    docId: DocId,
    pageId: PageId,
    title: Name | None = None,
    content: Markdown | None = None,
    mode: Annotated[Literal["replace", "append", "prepend"], Field(description="What content does to the old text.")] = "replace",
    workspaceId: WorkspaceId | None = None,
) -> Steps:
    """Change the title or the text of a page of a ClickUp doc."""
    if title is None and content is None:
        raise ToolError("Say what to change: title or content.")
    body: dict[str, Any] = compact({"name": title})
    if content is not None:
        body |= {"content": content, "content_edit_mode": mode, "content_format": "text/md"}
    ids = {"workspace_id": api.team_id(workspaceId), "doc_id": docId, "page_id": pageId}
    check_page(api, ids["workspace_id"], docId, pageId)
    yield Step(Request("PUT", ONE_PAGE, ids, json=body), f"change page {pageId} of doc {docId}")
    page = api.get(ONE_PAGE, kind="docs", params={"content_format": "text/md"}, fresh=True, **ids)
    return {"summary": f"Changed page {pageId}.", "docId": docId, "page": show_page(page, SNIPPET)}


def page_step(workspace_id: str, doc_id: str, body: dict[str, Any]) -> Step:
    """Creating a page in a doc."""
    request = Request("POST", PAGES, {"workspace_id": workspace_id, "doc_id": doc_id}, json={**body, "content_format": "text/md"})
    return Step(request, f"create page “{body['name']}” in doc {doc_id}")


def check_page(api: Api, workspace_id: str, doc_id: str, page_id: str) -> None:
    """Raise ToolError unless a page is in the doc that is named with it, where that decides whether it may be written to."""
    if not api.settings.selective:
        return
    pages = flatten(pages_in(api.get(DOC + "/page_listing", kind="now", workspace_id=workspace_id, doc_id=doc_id)))
    if page_id not in {str(page.get("id")) for page in pages}:
        raise ToolError(f"Doc {doc_id} has no page {page_id}. Nothing was changed.")


# --- reading docs and pages ---


def list_docs(api: Api, workspace_id: str, params: dict[str, Any]) -> tuple[list[dict[str, Any]], list[str]]:
    """The docs of a workspace, and why some may be missing."""

    def ask(cursor: Any) -> tuple[list[dict[str, Any]], Any]:
        query = {**params, "limit": PER_REQUEST, "cursor": cursor}
        answer = api.get(DOCS, kind="docs", params=query, workspace_id=workspace_id)
        return objects(answer, "docs"), answer.get("next_cursor") or None

    docs = gather(ask, call=api.context.call, what="docs", pages=MAX_REQUESTS)
    return docs.items, [] if docs.is_complete else [f"Only the first {len(docs.items)} docs were read."]


def get_pages(api: Api, workspace_id: str, doc_id: str) -> list[dict[str, Any]]:
    """The pages of a doc with their text, as a tree."""
    params = {"max_page_depth": -1, "content_format": "text/md"}
    return pages_in(api.get(PAGES, kind="docs", params=params, workspace_id=workspace_id, doc_id=doc_id))


def read_pages(api: Api, workspace_id: str, docs: list[dict[str, Any]]) -> tuple[list[list[dict[str, Any]]], list[str]]:
    """The pages of several docs, and why some may be missing."""
    params = {"max_page_depth": -1, "content_format": "text/md"}
    requests = [Request("GET", PAGES, {"workspace_id": workspace_id, "doc_id": str(doc.get("id"))}, params) for doc in docs]
    answers = api.try_all(requests, kind="docs")
    reasons = [
        f"The pages of “{doc.get('name')}” could not be read: {answer}"
        for doc, answer in zip(docs, answers, strict=True)
        if isinstance(answer, ToolError)
    ]
    return [[] if isinstance(answer, ToolError) else pages_in(answer) for answer in answers], reasons


def read_library(
    api: Api, workspace_id: str, queries: list[str], expand: bool
) -> tuple[list[dict[str, Any]], list[list[dict[str, Any]]], list[str]]:
    """The docs to search, the pages of those that are searched whole, and why some may be missing."""
    docs, reasons = list_docs(api, workspace_id, {})
    wanted = [Likeness(query) for query in queries]
    docs = sorted(docs, key=lambda doc: (-max(like.of_text(str(doc.get("name"))) for like in wanted), -changed_at(doc)))
    if not expand:
        return docs, [[] for _ in docs], reasons
    pages, missing = read_pages(api, workspace_id, docs[:MAX_EXPANDED])
    if len(docs) > MAX_EXPANDED:
        missing.append(f"The pages of {MAX_EXPANDED} of {len(docs)} docs were searched, of the others only the names.")
    return docs, pages + [[] for _ in docs[MAX_EXPANDED:]], reasons + missing


def find_docs(
    docs: list[dict[str, Any]], pages: list[list[dict[str, Any]]], workspace_id: str, query: str, limit: int
) -> list[dict[str, Any]]:
    """The docs that fit a query, by their names and by what is on their pages, the best first."""
    results, likeness = [], Likeness(query)
    for doc, tree in zip(docs, pages, strict=True):
        hits = [snippet for page in flatten(tree) if (snippet := find_snippet(page, query)) is not None]
        score = max(likeness.of_text(str(doc.get("name"))), 0.8 if hits else 0.0)
        if score >= 0.65:
            results.append({**show_doc(doc, workspace_id), "score": round(score, 2)} | compact({"pages": hits[:3]}))
    return sorted(results, key=lambda result: -result["score"])[:limit]


def find_snippet(page: dict[str, Any], query: str) -> dict[str, Any] | None:
    """A page that has every word of the query in its name or text, with the text around the first of them."""
    content = str(page.get("content") or "")
    text, words = f"{page.get('name')} {content}".casefold(), query.casefold().split()
    if not all(word in text for word in words):
        return None
    at = max(content.casefold().find(words[0]) - SNIPPET // 3, 0)
    shown = show_page({**page, "content": content[at:]}, SNIPPET)
    return shown | ({"cut": True} if at else {})


def changed_at(doc: dict[str, Any]) -> int:
    """When a doc was last changed."""
    value = doc.get("date_updated") or doc.get("date_created") or 0
    return int(value) if str(value).isdigit() else 0


def pages_in(answer: dict[str, Any]) -> list[dict[str, Any]]:
    """The pages of an answer: ClickUp gives a bare list."""
    return objects(answer, "items") or objects(answer, "pages")


def flatten(pages: list[dict[str, Any]], depth: int = 0) -> list[dict[str, Any]]:
    """A tree of pages as a list, in order, each with its depth."""
    found = []
    for page in pages:
        found += [{**page, "depth": depth}, *(flatten(objects(page, "pages"), depth + 1) if depth < 20 else [])]
    return found


def missing_of(wanted: list[str] | None, pages: list[dict[str, Any]]) -> list[str]:
    """The ids that none of the pages has."""
    known = {str(page.get("id")) for page in pages}
    return [page_id for page_id in wanted or [] if page_id not in known]


# --- shapes ---


def show_doc(doc: dict[str, Any], workspace_id: str) -> dict[str, Any]:
    """A doc."""
    parent = doc.get("parent") if isinstance(doc.get("parent"), dict) else {}
    doc_id = str(doc.get("id", ""))
    facts = {
        "parentType": PARENTS.get(parent.get("type")),
        "parentId": str(parent["id"]) if parent.get("id") else None,
        "updatedAt": show_moment(doc.get("date_updated") or doc.get("date_created")),
        "url": f"https://app.clickup.com/{workspace_id}/v/dc/{doc_id}" if doc_id else None,
    }
    return {"id": doc_id, "name": doc.get("name") or ""} | compact(facts)


def show_place(page: dict[str, Any]) -> dict[str, Any]:
    """A page's place in its doc."""
    facts = {"parentPageId": page.get("parent_page_id"), "depth": page.get("depth")}
    return {"id": str(page.get("id", "")), "name": page.get("name") or ""} | compact(facts)


def show_page(page: dict[str, Any], limit: int | None) -> dict[str, Any]:
    """A page, with at most `limit` characters of its text."""
    content = str(page.get("content") or "")
    where = (page.get("workspace_id"), page.get("doc_id"), page.get("id"))
    facts = {
        "content": content if limit is None else content[:limit],
        "cut": True if limit is not None and len(content) > limit else None,
        "updatedAt": show_moment(page.get("date_edited") or page.get("date_updated") or page.get("date_created")),
        "url": "https://app.clickup.com/{}/v/dc/{}/{}".format(*where) if all(where) else None,
    }
    return show_place(page) | compact(facts)
