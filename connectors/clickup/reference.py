"""Reference tools: ClickUp's own documentation for developers. Public pages; no token goes there."""

from __future__ import annotations

import re
from typing import Annotated, NotRequired
from urllib.parse import quote, urlsplit

from pydantic import Field
from typing_extensions import TypedDict

from connectors.clickup.api import Api
from connectors.clickup.plans import reads
from errors import ToolError
from fetch import VENDOR
from fitting import Answer
from service_pages import Copies

HOST = "developer.clickup.com"
INDEX_URL = f"https://{HOST}/llms.txt"
FRESH_SECONDS = 86_400
LINK = re.compile(r"\[([^\]\n]{1,200})\]\((https://[^)\s]{1,300})\)(?::\s*([^\n]{1,300}))?")


class Link(TypedDict):
    """A page of the documentation."""

    title: str
    url: str
    about: NotRequired[str]


class Links(Answer):
    """Pages of ClickUp's documentation for developers."""

    links: list[Link]
    hasMore: bool


class ReferencePage(Answer):
    """A page's text, in Markdown."""

    url: str
    content: str
    cut: bool


@reads(title="List reference pages")
def reference_link_list(api: Api, limit: Annotated[int, Field(ge=1, le=500)] = 50) -> Links:
    """List the pages of ClickUp's documentation for developers; reference_page_fetch reads one."""
    found = [match for match in LINK.finditer(read_text(api, INDEX_URL)) if urlsplit(match[2]).hostname == HOST]
    links = [{"title": match[1], "url": match[2]} | ({"about": match[3].strip()} if match[3] else {}) for match in found]
    return {"links": links[:limit], "hasMore": len(links) > limit}


@reads(title="Read reference page")
def reference_page_fetch(
    api: Api,
    url: Annotated[str, Field(max_length=300, description=f"An address on {HOST}.")],
    maxCharacters: Annotated[int, Field(ge=100, le=100_000)] = 8000,
) -> ReferencePage:
    """Read a page of ClickUp's documentation for developers, in Markdown."""
    address = check_address(url)
    content = read_text(api, address)
    return {"url": address, "content": content[:maxCharacters], "cut": len(content) > maxCharacters}


def check_address(url: str) -> str:
    """The address of a page's Markdown. Raises ToolError unless it is on ClickUp's site for developers."""
    try:
        parts = urlsplit(url.strip())
        port = parts.port
    except ValueError:
        raise ToolError("This is not an address.") from None
    segments = parts.path.split("/")
    if (parts.scheme, parts.hostname, port, parts.username) != ("https", HOST, None, None) or {".", ".."} & set(segments):
        raise ToolError(f"Only pages of https://{HOST} can be read here.")
    path = quote(parts.path, safe="/-_.~")
    return f"https://{HOST}{path if re.search(r'[.](md|txt|json)$', path) or path in ('', '/') else path.rstrip('/') + '.md'}"


def read_text(api: Api, url: str) -> str:
    """The text at an address, or a copy of at most a day; public, so every connection shares it. Raises ToolError."""

    def ask() -> str:
        response = api.context.fetch.request("GET", url, trust=VENDOR, timeout=min(20, max(api.seconds_left(), 1)))
        if response.status != 200:
            raise ToolError(f"{HOST} answered with status {response.status}. reference_link_list tells which pages there are.")
        return response.body.decode("utf-8", "replace")

    return Copies(api.context.shared_cache, "clickup-reference", {"page": FRESH_SECONDS}).remember("page", (url,), ask)
