"""Takes from ClickUp's own OpenAPI documents the facts that the tests need: method, path, parameters, body. Run by hand.

python tests/clickup/reduce.py clickup-api-v2-reference.json [ClickUp_PUBLIC_API_V3.json] > tests/clickup/facts.json
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any
from urllib.parse import unquote

SOURCES = {
    "v2": "ClickUp's OpenAPI document of v2 (clickup-api-v2-reference.json on developer.clickup.com), a copy of 2025-11-13",
    "v3": "ClickUp's OpenAPI document of v3 (ClickUp_PUBLIC_API_V3.yaml), a copy of 2026-08",
}
USED = """
GET /v2/user                                        GET /v2/team
GET /v2/team/{}/space                               GET /v2/space/{}
GET /v2/space/{}/folder                             GET /v2/space/{}/list
GET /v2/folder/{}                                   GET /v2/folder/{}/list
GET /v2/list/{}                                     GET /v2/list/{}/task
GET /v2/list/{}/field                               GET /v2/team/{}/task
GET /v2/task/{}                                     GET /v2/task/{}/comment
GET /v2/space/{}/tag                                GET /v2/view/{}
GET /v2/view/{}/task                                GET /v2/team/{}/time_entries
GET /v2/team/{}/time_entries/{}                     GET /v2/team/{}/time_entries/current
POST /v2/space/{}/tag                               PUT /v2/space/{}/tag/{}
DELETE /v2/space/{}/tag/{}                          POST /v2/space/{}/folder
PUT /v2/folder/{}                                   DELETE /v2/folder/{}
POST /v2/space/{}/list                              POST /v2/folder/{}/list
PUT /v2/list/{}                                     DELETE /v2/list/{}
POST /v2/space/{}/list_template/{}                  POST /v2/folder/{}/list_template/{}
POST /v2/space/{}/view                              POST /v2/list/{}/view
PUT /v2/view/{}                                     DELETE /v2/view/{}
POST /v2/list/{}/task                               PUT /v2/task/{}
DELETE /v2/task/{}                                  POST /v2/task/{}/comment
POST /v2/task/{}/attachment                         POST /v2/task/{}/tag/{}
DELETE /v2/task/{}/tag/{}                           POST /v2/task/{}/field/{}
DELETE /v2/task/{}/field/{}                         POST /v2/task/{}/checklist
POST /v2/checklist/{}/checklist_item                POST /v2/team/{}/time_entries
PUT /v2/team/{}/time_entries/{}                     DELETE /v2/team/{}/time_entries/{}
POST /v2/team/{}/time_entries/start                 POST /v2/team/{}/time_entries/stop
GET /v3/workspaces/{}/docs                          POST /v3/workspaces/{}/docs
GET /v3/workspaces/{}/docs/{}                       GET /v3/workspaces/{}/docs/{}/page_listing
GET /v3/workspaces/{}/docs/{}/pages                 POST /v3/workspaces/{}/docs/{}/pages
GET /v3/workspaces/{}/docs/{}/pages/{}              PUT /v3/workspaces/{}/docs/{}/pages/{}
"""
KEPT = ("type", "enum", "required", "minimum", "maximum")


def bare(path: str) -> str:
    """A path without the names of its parameters, which ClickUp spells in several ways."""
    return "/".join("{}" if part.startswith("{") else part for part in path.removeprefix("/api").split("/"))


def used() -> set[str]:
    """`METHOD /path` of every operation that the connector may use."""
    words = USED.split()
    return {f"{method} {path}" for method, path in zip(words[::2], words[1::2], strict=True)}


class Document:
    """One OpenAPI document."""

    def __init__(self, document: dict[str, Any]):
        self.document = document

    def follow(self, item: Any) -> Any:
        """What an item refers to, if it is a reference."""
        while isinstance(item, dict) and "$ref" in item:
            found: Any = self.document
            for part in item["$ref"].removeprefix("#/").split("/"):
                name = unquote(part).replace("~1", "/").replace("~0", "~")
                found = found[int(name)] if isinstance(found, list) else found[name]
            item = found
        return item

    def schema(self, item: Any, depth: int = 0) -> dict[str, Any]:
        """A schema without descriptions and references; objects take no members but those that are named."""
        item = self.follow(item)
        if depth > 6 or not isinstance(item, dict):
            return {}
        kept = {name: item[name] for name in KEPT if name in item}
        for name in ("anyOf", "oneOf", "allOf"):
            if name in item:
                choices = [self.schema(choice, depth + 1) for choice in item[name]]
                kept |= choices[0] if len(choices) == 1 else {"anyOf": choices}
        if "properties" in item:
            kept["properties"] = {name: self.schema(value, depth + 1) for name, value in item["properties"].items()}
            kept["additionalProperties"] = False
        if "items" in item:
            kept["items"] = self.schema(item["items"], depth + 1)
        if "search" in kept.get("properties", {}):  # a view's filters are objects in ClickUp's own examples, not strings
            kept["properties"]["fields"] = {"type": "array"}
        return kept

    def operations(self) -> dict[str, Any]:
        """Every operation, by `METHOD /path`."""
        found = {}
        for path, item in self.document["paths"].items():
            for method, operation in item.items():
                if method in ("get", "post", "put", "delete", "patch"):
                    found[f"{method.upper()} {bare(path)}"] = self.operation(operation)
        return found

    def operation(self, operation: dict[str, Any]) -> dict[str, Any]:
        """Query parameters, required headers, and the body of one operation."""
        parameters = [self.follow(parameter) for parameter in operation.get("parameters", [])]
        query = {item["name"]: self.schema(item["schema"]) for item in parameters if item["in"] == "query"}
        if "commas" in json.dumps([item.get("description", "") for item in parameters if item["name"] == "assignee"]):
            query["assignee"] = {"type": "string"}  # said to be a number, and described as several with commas between them
        facts: dict[str, Any] = {"query": query} if query else {}
        for name, where in (("query_required", "query"), ("headers", "header")):
            if required := [item["name"] for item in parameters if item["in"] == where and item.get("required")]:
                facts[name] = required
        if "requestBody" in operation:
            content = operation["requestBody"]["content"]
            facts["body"] = {kind: self.schema(item.get("schema", {})) for kind, item in content.items()}
        return facts


def main(paths: list[str]) -> None:
    """Print the facts. Those of a document that is not given stay as they are."""
    old = Path(__file__).with_name("facts.json")
    facts = json.loads(old.read_text())["operations"] if old.exists() and len(paths) < 2 else {}
    for path in paths:
        facts |= Document(json.loads(Path(path).read_text())).operations()
    kept = {name: facts[name] for name in sorted(used())}
    lines = [f"    {json.dumps(name)}: {json.dumps(fact)}" for name, fact in kept.items()]
    print(json.dumps({"sources": SOURCES}, indent=2, ensure_ascii=False)[:-2] + ',\n  "operations": {')
    print(",\n".join(lines) + "\n  }\n}")


if __name__ == "__main__":
    main(sys.argv[1:])
