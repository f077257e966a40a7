"""A call of a client becomes a request to another server, and its result comes back as it is. Knows no transport and no name.

What the server asks goes to the client, in whichever era either of them is. A newer server ends its answer with questions: the
client's request then ends with them too, or they are asked at once if the client is of the handshake era. An older one asks in
the middle of a call, for which see continuing.py.
"""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, Protocol

from mcp_types.jsonrpc import INTERNAL_ERROR, URL_ELICITATION_REQUIRED

from contexts import PassedOn
from continuing import Continuations
from crypto import Unreadable, Vault
from db import Database
from errors import ProtocolError, ToolError, UpstreamError, UpstreamRefused
from links import Greeting
from store.connections import Connection, list_secrets
from tools import Call, text

log = logging.getLogger("postern.upstream")

ROUNDS_MAX = 20  # in which one call may ask
VISITS_MAX = 5  # to which a server may send its person before it goes on
SECRET_MIN = 6  # shorter ones would be found in every other word
CACHING = frozenset({"ttlMs", "cacheScope"})  # what a grant shows may change at any moment
OWN_META = "io.modelcontextprotocol/"  # belongs to one hop (MCP 2026-07-28, basic, "_meta")
# Codes that speak of the hop between a server and us, and would mislead a client about its own: unknown method, wrong headers,
# unsupported version.
CODES_OF_ONE_HOP = frozenset({-32700, -32600, -32601, -32020, -32022})


class Servers(Protocol):
    """The sessions with other servers (upstream.py)."""

    def request(self, connection: Connection, method: str, params: Mapping[str, Any], call: Call) -> dict[str, Any]:
        """The result of a request."""

    def greeting(self, connection: Connection, call: Call) -> Greeting:
        """What the server said of itself to such a caller."""


class Forwarding:
    """The way to the servers behind connections: what `forwarded.Forwarder` promises."""

    def __init__(self, db: Database, vault: Vault, servers: Servers, clock: Callable[[], float] = time.time):
        self._db, self._vault, self._servers = db, vault, servers
        self._continuations = Continuations(db, vault, log.error, clock)

    def call_tool(
        self, connection: Connection, name: str, arguments: dict[str, Any], meta: Mapping[str, Any], call: Call
    ) -> dict[str, Any]:
        """The result of `tools/call`, as it came."""
        result = self._ask(connection, "tools/call", {"name": name, "arguments": arguments}, meta, call)
        return PassedOn(result | {"content": find_content(result)})

    def read_resource(self, connection: Connection, uri: str, call: Call) -> dict[str, Any]:
        """The result of `resources/read`, as it came, but for who may keep it how long: that is for us to say."""
        result = self._ask(connection, "resources/read", {"uri": uri}, call.meta, call)
        if not are_objects(result.get("contents")):
            raise UpstreamError("The server's answer has no contents.")
        return PassedOn({name: value for name, value in result.items() if name not in CACHING})

    def get_prompt(self, connection: Connection, name: str, arguments: dict[str, str], call: Call) -> dict[str, Any]:
        """The result of `prompts/get`, as it came."""
        result = self._ask(connection, "prompts/get", {"name": name, "arguments": arguments}, call.meta, call)
        if not are_objects(result.get("messages")):
            raise UpstreamError("The server's answer has no messages.")
        return PassedOn(result)

    def complete(
        self, connection: Connection, ref: Mapping[str, Any], argument: Mapping[str, str], context: Mapping[str, str], call: Call
    ) -> dict[str, Any]:
        """The result of `completion/complete`, as it came; `context` holds the arguments that are known already."""
        params = {"ref": dict(ref), "argument": dict(argument)} | ({"context": {"arguments": dict(context)}} if context else {})
        result = self._ask(connection, "completion/complete", params, call.meta, call)
        completion = result.get("completion")
        if not isinstance(completion, dict) or not isinstance(completion.get("values"), list):
            raise UpstreamError("The server's answer has no completion.")
        return PassedOn(result)

    def stop(self) -> None:
        """End what goes on behind the clients' requests: the process is going down."""
        self._continuations.stop()

    # --- one request ---

    def _ask(
        self, connection: Connection, method: str, params: dict[str, Any], meta: Mapping[str, Any], call: Call
    ) -> dict[str, Any]:
        """The result; raises ProtocolError for an error of the server's, with its own words but for secrets."""
        passed = {name: value for name, value in meta.items() if name != "progressToken" and not name.startswith(OWN_META)}
        if passed:
            params = {**params, "_meta": passed}
        try:
            if self._must_continue(connection, call):
                work = partial(self._ask_around_visits, connection, method, params)
                return self._continuations.run(connection.id, work, call)
            return self._ask_in_rounds(connection, method, params, call)
        except UpstreamRefused as refusal:
            raise self._explain(connection, refusal) from None

    def _must_continue(self, connection: Connection, call: Call) -> bool:
        """Whether the server may ask in the middle of the call, but the client can only be asked at the end of a request."""
        if not call.asks_by_ending or not call.can_be_asked:
            return False
        return "continuation" in call.kept or not self._servers.greeting(connection, call).is_modern

    def _ask_around_visits(self, connection: Connection, method: str, params: dict[str, Any], call: Call) -> dict[str, Any]:
        """An older server may refuse until its person has been at some address. A client of its era reads that in the error; one
        of the stateless era knows no such error: it is asked to send its person there, and then the server is asked again.
        """
        for number in range(VISITS_MAX):
            try:
                return self._servers.request(connection, method, params, call)
            except UpstreamRefused as refusal:
                visits = list_visits(refusal)
                if not visits or not all(agrees(call, f"visit-{number}-{at}", visit) for at, visit in enumerate(visits)):
                    raise
        return self._servers.request(connection, method, params, call)

    def _ask_in_rounds(self, connection: Connection, method: str, params: dict[str, Any], call: Call) -> dict[str, Any]:
        """A newer server asks by ending its answer, and is called again with the client's answers and its own state."""
        for _ in range(ROUNDS_MAX):
            answered = self._collect_answers(call)
            result = self._servers.request(connection, method, {**params, **answered}, call)
            if result.get("resultType", "complete") != "input_required":
                return result
            if "asked" in call.kept:  # the answers were to the last round
                call.forget_answers()
            call.kept.update(asked=check_questions(result.get("inputRequests")), state=result.get("requestState"))
        raise UpstreamError("The server asks without end.")

    def _collect_answers(self, call: Call) -> dict[str, Any]:
        """The client's answers to what the server asked in the last round, in the form in which they go back; none at first."""
        if "asked" not in call.kept:
            return {}
        questions = {key: (item["method"], item.get("params") or {}) for key, item in call.kept["asked"].items()}
        answered: dict[str, Any] = {"inputResponses": call.ask_all(questions)} if questions else {}
        if call.kept["state"] is not None:
            answered["requestState"] = call.kept["state"]
        return answered

    def _explain(self, connection: Connection, refusal: UpstreamRefused) -> ProtocolError:
        """The server's error for our client. A server that repeats the key it was sent shall not give it away."""
        try:
            secrets = [value for value in list_secrets(self._db, self._vault, connection.id).values() if len(value) >= SECRET_MIN]
        except Unreadable:
            return ProtocolError(INTERNAL_ERROR, "The server answered with an error.")
        code = INTERNAL_ERROR if refusal.code in CODES_OF_ONE_HOP else refusal.code
        return ProtocolError(code, redact(refusal.message, secrets)[:2000], redact(refusal.data, secrets))


def are_objects(items: Any) -> bool:
    """Whether this is a list of objects."""
    return isinstance(items, list) and all(isinstance(item, dict) for item in items)


def find_content(result: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The content of a tool's result. Where there is none, what is structured stands there as text, for clients that read only
    that (MCP 2025-11-25, server/tools, "Structured Content"). Raises UpstreamError.
    """
    content = result.get("content")
    if content is None:
        structured = result.get("structuredContent")
        return [] if structured is None else [text(json.dumps(structured, ensure_ascii=False))]
    if not are_objects(content):
        raise UpstreamError("The server's answer has no content.")
    return content


def list_visits(refusal: UpstreamRefused) -> list[dict[str, str]]:
    """The addresses at which a server wants its person before it goes on, as questions of the stateless era; none in any other
    refusal (MCP 2025-11-25, client/elicitation, "URL Elicitation Required Error").
    """
    is_one = refusal.code == URL_ELICITATION_REQUIRED and isinstance(refusal.data, dict)
    told = refusal.data.get("elicitations") if is_one else None
    visits = [{name: item.get(name) for name in ("mode", "message", "url")} for item in told] if are_objects(told) else []
    is_sound = all(isinstance(value, str) for visit in visits for value in visit.values())
    return visits if is_sound and {visit["mode"] for visit in visits} == {"url"} and len(visits) <= VISITS_MAX else []


def agrees(call: Call, key: str, visit: dict[str, str]) -> bool:
    """Whether the client's person wants to go there; no if nobody can be asked."""
    try:
        return call.ask(key, "elicitation/create", visit).get("action") == "accept"
    except (ProtocolError, ToolError):
        return False


def check_questions(questions: Any) -> dict[str, dict[str, Any]]:
    """What a server asks, each with its method (MCP 2026-07-28, basic, "Multi Round-Trip Requests"). Raises UpstreamError."""
    questions = {} if questions is None else questions
    if not isinstance(questions, dict) or not all(
        isinstance(item, dict) and isinstance(item.get("method"), str) and isinstance(item.get("params"), dict | None)
        for item in questions.values()
    ):
        raise UpstreamError("The server asks something that cannot be understood.")
    return questions


def redact(value: Any, secrets: list[str]) -> Any:
    """The same JSON value with each of these strings blotted out, wherever it stands in it: also as a number, or as a name."""
    if isinstance(value, dict):
        return {redact(name, secrets): redact(item, secrets) for name, item in value.items()}
    if isinstance(value, list):
        return [redact(item, secrets) for item in value]
    if value is None or isinstance(value, bool):
        return value
    shown = str(value)
    for secret in sorted(secrets, key=len, reverse=True):
        shown = shown.replace(secret, "[redacted]")
    return value if shown == str(value) else shown
