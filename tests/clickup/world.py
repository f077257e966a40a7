"""A small world for the tests of ClickUp: Alice's and Bob's connections, a workspace, and a clock that waits for nobody."""

from __future__ import annotations

import functools
import inspect
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from connector_world import Clock, MemoryCache, PatientCall, strict
from jsonschema import Draft202012Validator

from clickup.fake import ALICE, BOB, DAY, NOW_MS, STATUSES, TOKEN, FakeClickUp
from connectors.clickup import CONNECTOR
from connectors.clickup.api import Api
from crypto import Vault
from db import Database
from errors import Cancelled
from store.cache import ScopedCache
from tools import Cache, Call, Context, Result

TOOLS = {tool.name: tool for tool in CONNECTOR.tools}


class World:
    """One fake ClickUp with a workspace in it, and connections that reach it."""

    def __init__(self, db: Database | None = None, vault: Vault | None = None):
        self.db, self.vault, self.fake, self.clock = db, vault, FakeClickUp(), Clock()
        self.memory: dict[str, MemoryCache] = {}
        self.settings: dict[str, Any] = {}
        self.token = TOKEN
        self.last_call = PatientCall(self.clock)
        self.time = SimpleNamespace(monotonic=self.clock)  # what stands in for the module
        self.furnish()

    @staticmethod
    def source_folder() -> Path:
        """Where the connector's files are."""
        return Path(inspect.getfile(Api)).parent

    def furnish(self) -> None:
        """Two spaces: Marketing with a folder, lists, tasks, a doc, a view; and Secret, with one of each as well."""
        fake = self.fake
        self.space, self.secret = fake.add_space("Marketing"), fake.add_space("Secret")
        self.folder, self.hidden_folder = fake.add_folder("Launch", self.space), fake.add_folder("Vault", self.secret)
        self.list = fake.add_list("Ads", self.space, self.folder)
        self.other_list = fake.add_list("Ideas", self.space)
        self.secret_list = fake.add_list("Plans", self.secret, self.hidden_folder)
        self.task = fake.add_task(
            "Write the ad", self.list, custom_id="DEV-42", description="Old words", assignees=[ALICE],
            tags=[{"name": "urgent"}], due_date=str(NOW_MS - 2 * DAY), priority={"id": "2", "priority": "high"},
            checklists=[{"id": "c-1", "name": "Steps", "items": [{"name": "Draft", "resolved": False}]}],
        )  # fmt: skip
        self.other_task = fake.add_task("Print flyers", self.list, assignees=[BOB], due_date=str(NOW_MS + 3 * DAY))
        self.done_task = fake.add_task("Hire a painter", self.other_list, status=STATUSES[2])
        self.secret_task = fake.add_task("Buy the rival", self.secret_list)
        self.doc, self.secret_doc = fake.add_doc("Launch plan", self.folder), fake.add_doc("Secret plan", self.secret, 4)
        self.page = fake.add_page(self.doc, "Goals", "Sell a thousand umbrellas")
        self.subpage = fake.add_page(self.doc, "Details", "In the rain", self.page)
        self.entry = fake.add_entry(self.task, NOW_MS - DAY, 3_600_000, description="Typing")
        self.secret_entry = fake.add_entry(self.secret_task, NOW_MS - DAY, 1_800_000)
        self.view, self.secret_view = fake.add_view("Board", self.list, 6), fake.add_view("Board", self.secret, 4)
        fake.spaces[self.space]["tags"].append({"name": "urgent", "tag_fg": "#111111", "tag_bg": "#222222"})

    def context(self, owner: str = "alice", call: Call | None = None) -> Context:
        """What a tool gets."""
        self.last_call = call or PatientCall(self.clock)
        return Context(
            connection_id=owner,
            settings=self.settings,
            secrets={"apiKey": self.token},
            fetch=self.fake,
            cache=self.cache(owner),
            shared_cache=self.cache("shared"),
            storage=None,
            now=NOW_MS // 1000 + int(self.clock.seconds),
            call=self.last_call,
        )

    def cache(self, scope: str) -> Cache:
        """The cache of a connection, on the world's clock: a real one if there is a database."""
        if self.db is None or self.vault is None:
            return self.memory.setdefault(scope, MemoryCache())
        return ScopedCache(self.db, self.vault, scope, clock=lambda: NOW_MS // 1000 + self.clock.seconds)

    def run(self, name: str, arguments: dict[str, Any], owner: str = "alice", call: Call | None = None) -> Result:
        """Call a tool as the toolbox does; its arguments must fit its schema."""
        assert mistakes(name, arguments) == []
        return TOOLS[name].run(self.context(owner, call), arguments)

    def call(self, name: str, /, **arguments: Any) -> dict[str, Any]:
        """What a tool answers, which must fit its output schema; and nothing it sent may differ from ClickUp's description."""
        answer = self.run(name, {key.rstrip("_"): value for key, value in arguments.items()}).structured
        closed(name).validate(answer)
        assert self.fake.problems == []
        return answer

    def do(self, name: str, /, **arguments: Any) -> dict[str, Any]:
        """The same, confirmed."""
        return self.call(name, confirm="yes", **arguments)


def mistakes(name: str, arguments: dict[str, Any]) -> list[str]:
    """What a tool's input schema finds wrong with some arguments."""
    return [error.message for error in checker(name).iter_errors(arguments)]


@functools.cache
def checker(name: str) -> Draft202012Validator:
    """A tool's input schema."""
    return Draft202012Validator(TOOLS[name].input_schema)


@functools.cache
def closed(name: str) -> Draft202012Validator:
    """A tool's output schema, taking no member that it does not name."""
    return strict(TOOLS[name].output_schema)


__all__ = ["TOOLS", "Cancelled", "PatientCall", "World", "closed", "mistakes"]
