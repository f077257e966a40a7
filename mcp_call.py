"""What a handler may say and ask while it works on one MCP request, in either era. Knows no HTTP server and no tool."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any

from mcp_types import LOG_LEVEL_META_KEY
from mcp_types.jsonrpc import INVALID_PARAMS, MISSING_REQUIRED_CLIENT_CAPABILITY
from mcp_types.methods import validate_client_result
from mcp_types.version import LATEST_HANDSHAKE_VERSION
from pydantic import ValidationError

from contexts import DEFAULT_LOG_LEVEL, LOG_LEVELS
from crypto import Unreadable, Vault
from errors import InputRequired, ProtocolError, ToolError
from links import PRODUCT
from protocol import Request
from tools import Call

STATE_SECONDS = 600  # how long a person may take to answer
ASKABLE = {"elicitation/create": "elicitation", "sampling/createMessage": "sampling", "roots/list": "roots"}

Notify = Callable[[str, dict[str, Any]], None]  # sends a notification on the request's own stream
Relay = Callable[[Call, str, dict[str, Any]], dict[str, Any]]  # sends a request over that stream and waits for its result


@dataclass(frozen=True)
class Earlier:
    """What earlier rounds of a call left behind: the client's answers, and what the handler keeps for itself."""

    answers: Mapping[str, Any] = field(default_factory=dict)
    kept: Mapping[str, Any] = field(default_factory=dict)


class RequestCall(Call):
    """The call behind one request. Without `notify` nothing can be said, without `relay` nothing asked in the handshake era.

    What the client sent with this request is added to the answers of earlier rounds. If the handler asks for more, `required`
    has the questions, and `given` the answers that it has used so far.
    """

    def __init__(
        self,
        request: Request,
        *,
        earlier: Earlier = Earlier(),
        notify: Notify | None = None,
        relay: Relay | None = None,
        log_level: str | None = None,
        sender: Any = None,
    ):
        super().__init__()
        self.request, self._notify, self._relay, self._sender = request, notify, relay, sender
        # the stateless era sends no log unless this very request wants it (MCP 2026-07-28, server/utilities/logging)
        self._chosen_level = request.meta.get(LOG_LEVEL_META_KEY) if request.modern else log_level
        self._answers = {**earlier.answers, **(request.params.get("inputResponses") or {})}
        self.kept.update(earlier.kept)
        self.required: dict[str, dict[str, Any]] = {}
        self.given: dict[str, Any] = {}

    @property
    def capabilities(self) -> Mapping[str, Any]:
        """What the client declared: in this request, or when it began its MCP session."""
        return self.request.capabilities

    @property
    def meta(self) -> Mapping[str, Any]:
        """The `_meta` of the request."""
        return self.request.meta

    @property
    def sender(self) -> Any:
        """Whose request it is; None: nobody has said."""
        return self._sender

    @property
    def log_level(self) -> str | None:
        """From which level on the client wants log lines, if there is a stream to send them on."""
        if self.request.modern or not self._notify:
            return self.chosen_log_level
        return self.chosen_log_level or DEFAULT_LOG_LEVEL

    @property
    def chosen_log_level(self) -> str | None:
        """That level if the client has named it, in this request or earlier in its session."""
        return self._chosen_level if self._notify and self._chosen_level in LOG_LEVELS else None

    @property
    def wants_progress(self) -> bool:
        """Whether the client gave a token for progress, and there is a stream to send it on."""
        return self._notify is not None and self.request.meta.get("progressToken") is not None

    def progress(self, progress: float, total: float | None = None, message: str | None = None) -> None:
        """Report progress under the client's token, if it gave one."""
        self.check_cancelled()
        token = self.request.meta.get("progressToken")
        if token is not None and self._notify:
            facts = {"progressToken": token, "progress": progress, "total": total, "message": message}
            self._notify("notifications/progress", {name: fact for name, fact in facts.items() if fact is not None})

    def log(self, level: str, data: Any, logger: str | None = None) -> None:
        """Send a log line, if the client wants lines of this level."""
        self.check_cancelled()
        if self.log_level and LOG_LEVELS.index(level) >= LOG_LEVELS.index(self.log_level):
            self._notify("notifications/message", {"level": level, "logger": logger or PRODUCT["name"], "data": data})

    def ask_all(self, requests: dict[str, tuple[str, dict[str, Any]]]) -> dict[str, dict[str, Any]]:
        """The answers to several questions, by their keys. Raises InputRequired, and runs again, until all are there.

        Raises ProtocolError -32021 or ToolError if the client did not declare that it can be asked this.
        """
        self.check_cancelled()
        for method, params in requests.values():
            self.check_capability(method, params)
        if not self.request.modern:
            return {key: self._ask_over_stream(method, params) for key, (method, params) in requests.items()}
        self.given |= {key: self._answers[key] for key in requests if key in self._answers}
        missing = {key: request for key, request in requests.items() if key not in self.given}
        if missing:
            self.required = {key: {"method": method, "params": params} for key, (method, params) in missing.items()}
            raise InputRequired("the client has to answer first")
        return {key: check_answer(method, self.given[key]) for key, (method, _) in requests.items()}

    def _ask_over_stream(self, method: str, params: dict[str, Any]) -> dict[str, Any]:
        if self._relay is None:
            raise ToolError("This client cannot be asked anything during this request.")
        return check_answer(method, self._relay(self, method, params))

    def forget_answers(self) -> None:
        """What was answered so far is used up: the same keys may ask something else."""
        self._answers, self.given = {}, {}

    @property
    def asks_by_ending(self) -> bool:
        """Whether this is the stateless era, where the client answers in another request."""
        return self.request.modern

    def check_capability(self, method: str, params: Mapping[str, Any]) -> None:
        """Raise ProtocolError -32021 or ToolError if the client did not declare that it can be asked this."""
        if method not in ASKABLE:
            raise ToolError("That is nothing that a client can be asked.")
        needed = needed_capability(method, params)
        if covers(self.capabilities, needed):
            return
        if self.request.modern:  # MCP 2026-07-28, basic, "Capabilities"
            data = {"requiredCapabilities": needed}
            raise ProtocolError(MISSING_REQUIRED_CLIENT_CAPABILITY, "The client lacks a capability that this needs", data)
        raise ToolError("This client cannot be asked what this tool needs to know.")


def can_be_asked(capabilities: Mapping[str, Any]) -> bool:
    """Whether a client has declared anything at all; in the handshake era such a one gets an MCP session."""
    return bool(capabilities.keys() & set(ASKABLE.values()))


def needed_capability(method: str, params: Mapping[str, Any]) -> dict[str, Any]:
    """What a client must have declared to be asked this; plain elicitation means forms (MCP, client/elicitation)."""
    inner = {}
    if method == "elicitation/create" and params.get("mode") == "url":
        inner = {"url": {}}
    if method == "sampling/createMessage" and "tools" in params:
        inner = {"tools": {}}
    return {ASKABLE[method]: inner}


def covers(declared: Any, needed: Mapping[str, Any]) -> bool:
    """Whether every needed name was declared, at each level."""
    return isinstance(declared, Mapping) and all(
        name in declared and (not inner or covers(declared[name], inner)) for name, inner in needed.items()
    )


def check_answer(method: str, answer: Any) -> dict[str, Any]:
    """An answer of the kind that was asked for. Raises ProtocolError -32602."""
    try:
        validate_client_result(method, LATEST_HANDSHAKE_VERSION, answer)  # the newest version with rows for answers
    except ValidationError:
        raise ProtocolError(INVALID_PARAMS, f"The answer does not fit {method}") from None
    return answer


# --- the stateless era: the answers so far travel with the client, sealed ---


def state_place(request: Request, identity: tuple[str, ...]) -> tuple[str, ...]:
    """Where a state may be opened: for the same identity, with the same method and parameters, and nowhere else."""
    asked = {name: value for name, value in request.params.items() if name not in ("_meta", "inputResponses", "requestState")}
    digest = sha256(json.dumps([request.method, asked], sort_keys=True).encode()).hexdigest()
    return ("requestState", *identity, digest)


def open_state(vault: Vault, request: Request, identity: tuple[str, ...], *, now: float) -> Earlier:
    """What earlier rounds left; nothing without a state. Raises ProtocolError -32602 for a stale or foreign one."""
    state = request.params.get("requestState")
    if state is None:
        return Earlier()
    try:
        kept = json.loads(vault.unseal(state, *state_place(request, identity)))
    except Unreadable:
        kept = {"expires_at": 0}
    if kept["expires_at"] <= now:
        raise ProtocolError(INVALID_PARAMS, "The requestState is not valid for this request")
    return Earlier(kept["answers"], kept["kept"])


def run_asking(
    call: RequestCall, work: Callable[[], dict[str, Any]], vault: Vault, identity: tuple[str, ...], *, now: float
) -> dict[str, Any]:
    """The result of `work`; or `input_required` if it asked, with a state that the client sends back beside its answers."""
    try:
        result = work()
    except Exception:
        if not call.required:
            raise
    if not call.required:
        return result
    kept = {"answers": call.given, "kept": call.kept, "expires_at": int(now) + STATE_SECONDS}
    state = vault.seal(json.dumps(kept).encode(), *state_place(call.request, identity))
    return {"resultType": "input_required", "inputRequests": call.required, "requestState": state}
