"""For this caller: which features there are, and how to call one. Knows grants and names, but no protocol and no web server."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any
from urllib.parse import urlsplit

from argument_checks import find_mistake
from challenges import write_challenge
from crypto import Unreadable, Vault, new_id
from db import Database
from errands import Errands
from errors import FetchError, PosternError, ProtocolError, SignInNeeded, ToolError, trace
from fetch import Fetcher
from forwarded import Forwarder
from searching import HOUSE, SEARCH_SECONDS, Finder, Place, address_of, list_places, with_search
from shelf import Entry, Item, list_entries
from sources import Document
from store.cache import ScopedCache
from store.connections import Connection, Draft, list_secrets, list_secrets_with
from store.grants import list_granted_kinds
from store.personal_context import PersonalContextStorage
from store.profiles import Profile, find_profile
from store.tokens import Caller
from store.upstreams import find_capabilities
from tools import Call, Connector, Context, Greet, Prompt, SignedIn, Tool, text
from views import Origin, View, build_view
from watches import can_subscribe

log = logging.getLogger("postern.toolbox")

INVALID_PARAMS = -32602
TOKEN_NAMES = ("access_token", "refresh_token")
OWN = Connector("postern", "Postern", "")  # of `search` and `fetch`
STORAGES: dict[str, Callable[[Database, str], Any]] = {"personal_context": PersonalContextStorage}


@dataclass(eq=False)
class Prepared:
    """The views of one profile in one revision: grants that hold the same feature sets share one, for it may be large."""

    revision: int
    by_kinds: dict[frozenset[str], View] = field(default_factory=dict)
    by_grant: dict[str, View] = field(default_factory=dict)
    building: threading.Lock = field(default_factory=threading.Lock)


class Toolbox:
    """Features of connections, as grants allow them. What grants see is prepared once for each revision."""

    def __init__(
        self,
        db: Database,
        vault: Vault,
        fetch: Fetcher,
        connectors: Mapping[str, Connector],
        clock: Callable[[], float] = time.time,
        *,
        greet: Greet | None = None,
        find_sign_in: Callable[[Connection], SignedIn] | None = None,
        forward: Forwarder | None = None,
        search_seconds: float = SEARCH_SECONDS,
    ):
        self._greet, self._find_sign_in = greet, find_sign_in
        self._db, self._vault, self._fetch, self._connectors, self._clock = db, vault, fetch, connectors, clock
        self._forward = forward  # None: other servers' features can be looked at, but not called
        self._prepared: dict[str, Prepared] = {}  # by profile
        self._lock = threading.Lock()
        self._errands, self._search_seconds = Errands(), search_seconds

    # --- tools ---

    def list_tools(self, caller: Caller, *, modern: bool = True) -> list[dict[str, Any]]:
        """The tools of `tools/list`, always in the same order; as clients of the handshake era can read them if not `modern`."""
        return self.view(caller).listings["tools" if modern else "old tools"]

    def find_tool(self, caller: Caller, name: str) -> Tool | None:
        """The tool behind a name, or None if this caller has no such tool."""
        item = self.view(caller).tools.get(name)
        return item.feature if item else None

    def call_tool(self, caller: Caller, name: str, arguments: dict[str, Any], call: Call) -> dict[str, Any]:
        """The result of `tools/call`. What went wrong inside the tool is a result too (`isError`), so that the model can mend it.

        Raises ProtocolError for a tool that this caller does not have, whether it exists or not.
        """
        view = self.view(caller)
        item = view.tools.get(name)
        if reason := view.withheld.get(name):
            return failure(reason)
        if item is None:
            raise ProtocolError(INVALID_PARAMS, "Unknown tool")
        if mistake := find_mistake(view.find_checker(name), arguments):
            return failure(mistake)
        try:
            return item.feature.run(self._context_of(item, call), arguments).to_json()
        except SignInNeeded as error:
            return sign_in_failure(error, caller.resource)
        except (ToolError, FetchError) as error:
            return failure(str(error))
        except PosternError:
            raise
        except Exception as error:
            error_id = new_id()
            log.error("tool %s of connection %s failed, error %s: %s", name, item.connection.id, error_id, trace(error))
            return failure(f"The tool failed inside Postern. The server's log has the details under {error_id}.")

    # --- resources ---

    def list_resources(self, caller: Caller) -> list[dict[str, Any]]:
        """The resources of `resources/list`."""
        return self.view(caller).listings["resources"]

    def list_templates(self, caller: Caller) -> list[dict[str, Any]]:
        """The templates of `resources/templates/list`."""
        return self.view(caller).listings["templates"]

    def read_resource(self, caller: Caller, uri: str, call: Call) -> dict[str, Any] | None:
        """The result of `resources/read`; None if this caller has no such resource. Contents of ours keep the URI asked for."""
        reader = self.view(caller).find_reader(uri)
        if reader is None:
            return None
        found = reader.read(self._context_of(reader.item, call))
        return found if reader.item.source else {"contents": [{**item, "uri": uri} for item in found]}

    # --- resources that clients want to hear of ---

    def find_origin(self, caller: Caller, uri: str) -> Origin | None:
        """Where the caller's URI leads, if it may be possible to hear of its changes; None also if there is no such resource."""
        return self.view(caller).find_origin(uri)

    def read_mark(self, origin: Origin) -> str:
        """What differs once a resource of ours has changed. Raises ToolError."""
        return origin.mark(self.context(origin.item.connection, Call()))

    def tells_of(self, origin: Origin) -> bool:
        """Whether whoever has this resource says that it can tell of changes."""
        return bool(origin.mark) or can_subscribe(find_capabilities(self._db, origin.item.connection.id))

    def can_subscribe(self, caller: Caller) -> bool:
        """Whether there is anything that this caller can hear of."""
        view = self.view(caller)
        origins = [Origin(server.item, "", None) for server in view.servers.values()]
        own = (item.feature.mark for item in view.resources.values() if item.source is None)
        return any(own) or any(self.tells_of(origin) for origin in origins)

    # --- prompts and completion ---

    def list_prompts(self, caller: Caller) -> list[dict[str, Any]]:
        """The prompts of `prompts/list`."""
        return self.view(caller).listings["prompts"]

    def get_prompt(self, caller: Caller, name: str, arguments: dict[str, str], call: Call) -> dict[str, Any]:
        """The result of `prompts/get`. Raises ProtocolError for an unknown prompt or a missing argument."""
        item = self.view(caller).prompts.get(name)
        if item is None:
            raise ProtocolError(INVALID_PARAMS, "Unknown prompt")
        prompt: Prompt = item.feature
        missing = [argument for argument, _, required in prompt.arguments if required and argument not in arguments]
        if missing:
            raise ProtocolError(INVALID_PARAMS, f"Missing argument: {missing[0]}")
        known = {argument for argument, _, _ in prompt.arguments}
        given = {key: value for key, value in arguments.items() if key in known}
        answer = prompt.get(self._context_of(item, call), arguments if item.source else given)
        return answer if isinstance(answer, dict) else {"description": prompt.description, "messages": answer}

    def complete(
        self,
        caller: Caller,
        ref: Mapping[str, Any],
        argument: Mapping[str, str],
        call: Call,
        *,
        filled_in: Mapping[str, str] | None = None,
    ) -> dict[str, Any]:
        """The result of `completion/complete`: at most 100 values. Raises ProtocolError for an unknown reference."""
        view = self.view(caller)
        item = view.prompts.get(ref["name"]) if ref["type"] == "ref/prompt" else view.templates.get(ref["uri"])
        if item is None:
            raise ProtocolError(INVALID_PARAMS, "Unknown reference")
        if item.feature.complete is None:
            return {"completion": {"values": [], "total": 0, "hasMore": False}}
        context = replace(self._context_of(item, call), filled_in=filled_in or {})
        answer = item.feature.complete(context, argument["name"], argument["value"])
        if isinstance(answer, dict):
            return answer
        return {"completion": {"values": answer[:100], "total": len(answer), "hasMore": len(answer) > 100}}

    # --- what stands behind them ---

    def context(self, connection: Connection, call: Call) -> Context:
        """What a handler gets: one connection, opened. Raises ToolError if a secret was damaged: the others still work."""
        try:
            secrets = list_secrets(self._db, self._vault, connection.id) if connection.secret_names else {}
        except Unreadable:
            raise ToolError(f"A secret of the connection “{connection.name}” is damaged. Please type it in again.") from None
        connector = self._connectors[connection.connector]
        context = self._context(connector, connection.id, connection.settings, secrets, call)
        return self._signed_in(context, connector, connection)

    def _signed_in(self, context: Context, connector: Connector, connection: Connection | None) -> Context:
        """The context with a good access token, and never what that is renewed with. Raises SignInNeeded, or UpstreamError."""
        if not connector.sign_in or connector.is_upstream or not self._find_sign_in:
            return context
        secrets = {name: value for name, value in context.secrets.items() if name not in TOKEN_NAMES}
        if connection is None:
            raise ToolError("Save it first, and sign in; then it can be tried.")
        signed_in = self._find_sign_in(connection)
        secrets["access_token"] = signed_in.access_token()
        return replace(context, secrets=secrets, signed_in=signed_in)

    def _context_of(self, item: Item, call: Call) -> Context:
        """What a feature's handler gets. The way to another server takes its secrets from the database by itself."""
        if item.source is None and item.connection is not HOUSE:
            return self.context(item.connection, call)
        connector = self._connectors.get(item.connection.connector, OWN)
        return self._context(connector, item.connection.id, item.connection.settings, {}, call)

    def try_draft(self, draft: Draft, connection: Connection | None) -> str:
        """Try what a person typed before it is kept; answers what was found. Raises ToolError with the reason if it fails."""
        connector = self._connectors[draft.connector]
        if connector.test is None:
            return "There is nothing to test here."
        secrets = list_secrets_with(self._db, self._vault, connection, draft)
        context = self._context(connector, connection.id if connection else "draft", draft.settings, secrets, Call())
        try:
            return connector.test(self._signed_in(context, connector, connection))
        except FetchError as error:
            raise ToolError(str(error)) from error

    def _context(
        self, connector: Connector, connection_id: str, settings: Mapping[str, Any], secrets: Mapping[str, str], call: Call
    ) -> Context:
        storage = STORAGES.get(connector.storage or "")
        return Context(
            connection_id=connection_id,
            settings=connector.fill_in(settings),
            secrets=secrets,
            fetch=self._fetch,
            cache=ScopedCache(self._db, self._vault, connection_id, self._clock),
            shared_cache=ScopedCache(self._db, self._vault, "shared", self._clock),
            storage=storage(self._db, connection_id) if storage else None,
            now=int(self._clock()),
            call=call,
            greet=self._greet,
        )

    def view(self, caller: Caller) -> View:
        """What the caller's grant may see, as of the caller's revision or later."""
        prepared = self._prepared_for(caller)
        view = prepared.by_grant.get(caller.grant_id)
        if view is None:
            view = prepared.by_grant[caller.grant_id] = self._prepare(prepared, caller)
        return view

    def _prepared_for(self, caller: Caller) -> Prepared:
        with self._lock:
            prepared = self._prepared.get(caller.profile_id)
            if prepared is None or prepared.revision < caller.revision:
                if len(self._prepared) > 1_000:
                    self._prepared.clear()
                prepared = self._prepared[caller.profile_id] = Prepared(caller.revision)
        return prepared

    def _prepare(self, prepared: Prepared, caller: Caller) -> View:
        """The view of all grants that hold the same; of several threads that need it at once, one builds it."""
        kinds = list_granted_kinds(self._db, caller.grant_id)
        with prepared.building:
            if kinds not in prepared.by_kinds:
                prepared.by_kinds[kinds] = self._build(kinds, caller)
        return prepared.by_kinds[kinds]

    def _build(self, kinds: frozenset[str], caller: Caller) -> View:
        view = build_view(kinds, self.list_entries(caller.user_id, caller.profile_id))
        profile = find_profile(self._db, caller.user_id, caller.profile_id)
        if profile is None or not profile.is_searchable:
            return view
        places = self._places_of(view)
        parts = urlsplit(caller.resource)
        return with_search(view, self._finder(places, profile, f"{parts.scheme}://{parts.netloc}"), places) if places else view

    # --- search over all of it ---

    def list_source_names(self, profile: Profile) -> list[str]:
        """What `search` looks through in a profile, for who may use all of it."""
        return [place.label for place in self._places_of(self._whole_view(profile))]

    def find_document(self, profile: Profile, item_id: str, call: Call) -> Document:
        """What stands behind an id of `search`, for the profile's own person. Raises NotFound, or ToolError."""
        places = self._places_of(self._whole_view(profile))
        return self._finder(places, profile, "").find(item_id, call, seconds=self._search_seconds)

    def _whole_view(self, profile: Profile) -> View:
        return build_view(frozenset({"all"}), self.list_entries(profile.user_id, profile.id))

    def _places_of(self, view: View) -> list[Place]:
        return list_places(view.tools.values(), self._connectors, view.find_reader)

    def _finder(self, places: list[Place], profile: Profile, public_url: str) -> Finder:
        address = partial(address_of, public_url, profile.slug)
        return Finder(places, self._context_of, self._errands, address, seconds=self._search_seconds)

    def stop(self) -> None:
        """Begin no search any more: the process is going down."""
        self._errands.stop()

    def list_entries(self, user_id: str, profile_id: str) -> list[Entry]:
        """Everything in a profile of the user's, whoever may see it."""
        return list_entries(self._db, self._connectors, user_id, profile_id, self._forward)


def failure(message: str) -> dict[str, Any]:
    """A tool's result that says what went wrong."""
    return {"content": [text(message)], "isError": True}


def sign_in_failure(error: SignInNeeded, resource: str) -> dict[str, Any]:
    """A tool's result that says who has to sign in where; clients that know `mcp/www_authenticate` offer it to their person."""
    parts = urlsplit(resource)
    challenge = {
        "resource_metadata": f"{parts.scheme}://{parts.netloc}/.well-known/oauth-protected-resource{parts.path}",
        "error": error.code,
        "error_description": str(error),
    }
    return failure(str(error)) | {"_meta": {"mcp/www_authenticate": [write_challenge(challenge)]}}
