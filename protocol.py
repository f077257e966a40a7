"""JSON-RPC and the two eras of MCP: strict parsing, validation, shaping. Knows no HTTP server, no tool and no user."""

from __future__ import annotations

import functools
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from mcp_types import CLIENT_CAPABILITIES_META_KEY, HEADER_MISMATCH, PROTOCOL_VERSION_META_KEY, SERVER_INFO_META_KEY
from mcp_types.jsonrpc import INTERNAL_ERROR, INVALID_PARAMS, INVALID_REQUEST, METHOD_NOT_FOUND, PARSE_ERROR
from mcp_types.methods import CACHEABLE_METHODS, SERVER_RESULTS, validate_client_request
from mcp_types.version import HANDSHAKE_PROTOCOL_VERSIONS, LATEST_HANDSHAKE_VERSION, MODERN_PROTOCOL_VERSIONS
from pydantic import TypeAdapter, ValidationError

from contexts import PassedOn
from crypto import new_id
from errors import Cancelled, PosternError, ProtocolError, StorageError, ToolError, TooManyRequests, trace
from links import PRODUCT
from mcp_inbound import (
    ERROR_CODE_HTTP_STATUS,
    InboundLadderRejection,
    classify_inbound_request,
    unsupported_protocol_version_rejection,
)
from strict_json import decode_json, encode_json

log = logging.getLogger("postern.mcp")

OLD_NOT_FOUND = -32002  # of a resource, in the handshake era
OF_MCP = range(-32099, -32019)  # codes that MCP gives away itself, but for those of JSON-RPC
VERSION_WITHOUT_HEADER = "2025-03-26"  # MCP 2025-11-25, basic/transports, "Protocol Version Header"


def parse_json(body: bytes) -> Any:
    """The value of a JSON text, read strictly. Raises ProtocolError -32700."""
    try:
        return decode_json(body)
    except ValueError:
        raise ProtocolError(PARSE_ERROR, "Parse error", status=400) from None


# --- messages ---


@dataclass(frozen=True)
class Request:
    """A valid request of either era. `capabilities`: what the client declared that it can do."""

    id: str | int
    method: str
    params: Mapping[str, Any]
    version: str
    modern: bool
    capabilities: Mapping[str, Any]

    @property
    def meta(self) -> Mapping[str, Any]:
        """The `_meta` of the request."""
        return self.params.get("_meta") or {}


def check_message(message: Any) -> None:
    """Raise ProtocolError -32600 unless it is one JSON-RPC message, and no batch (JSON-RPC 2.0 §4)."""
    if not isinstance(message, dict) or message.get("jsonrpc") != "2.0":
        raise ProtocolError(INVALID_REQUEST, "The body must be one JSON-RPC 2.0 message", status=400)
    if "id" in message and request_id(message) is None:  # MCP basic, "Requests": never null
        raise ProtocolError(INVALID_REQUEST, "The id must be a string or an integer", status=400)
    if "method" in message:
        if not isinstance(message["method"], str):
            raise ProtocolError(INVALID_REQUEST, "The method must be a string", status=400)
        if not isinstance(message.get("params"), dict | None):
            raise ProtocolError(INVALID_PARAMS, "params must be an object", status=400)
    elif ("result" in message) == ("error" in message):
        raise ProtocolError(INVALID_REQUEST, "The message is neither a request nor a response", status=400)


def request_id(message: Any) -> str | int | None:
    """The id of a message if it has a valid one."""
    found = message.get("id") if isinstance(message, dict) else None
    return found if isinstance(found, str | int) and not isinstance(found, bool) else None


def is_modern(message: Mapping[str, Any], version: str | None) -> bool:
    """Whether a message belongs to the stateless era: its header says so, or it carries the envelope of that era."""
    if version is not None and version not in HANDSHAKE_PROTOCOL_VERSIONS:
        return True
    params = message.get("params")
    meta = params.get("_meta") if isinstance(params, dict) else None
    return isinstance(meta, dict) and PROTOCOL_VERSION_META_KEY in meta


def read_modern(message: Mapping[str, Any], headers: Mapping[str, str]) -> Request:
    """A request of the stateless era. Raises ProtocolError: envelope, then headers, then version, then method.

    `headers` have lower-case names (MCP 2026-07-28, basic/transports, "Standard Request Headers").
    """
    route = classify_inbound_request(message, headers=headers)
    if isinstance(route, InboundLadderRejection):
        raise rejected(route)
    method, params = message["method"], message["params"]
    check_params(method, route.protocol_version, params)
    return Request(message["id"], method, params, route.protocol_version, True, params["_meta"][CLIENT_CAPABILITIES_META_KEY])


def read_handshake(message: Mapping[str, Any], version: str | None, capabilities: Mapping[str, Any]) -> Request:
    """A request of the handshake era; `capabilities` are those of its MCP session. Raises ProtocolError."""
    method, params, version = message["method"], message.get("params"), version or VERSION_WITHOUT_HEADER
    if method == "initialize":
        params = params or {}
        asked = params.get("protocolVersion")  # MCP 2025-11-25, basic/lifecycle, "Version Negotiation"
        version = asked if asked in HANDSHAKE_PROTOCOL_VERSIONS else LATEST_HANDSHAKE_VERSION
    check_params(method, version, params)
    if method == "initialize":
        capabilities = params["capabilities"]
    return Request(message["id"], method, params or {}, version, False, capabilities)


def check_params(method: str, version: str, params: Mapping[str, Any] | None) -> None:
    """Raise ProtocolError unless the method exists in this version (-32601) and its parameters fit (-32602)."""
    try:
        validate_client_request(method, version, params)
    except KeyError:
        raise ProtocolError(METHOD_NOT_FOUND, "Method not found") from None
    except ValidationError as error:
        raise ProtocolError(INVALID_PARAMS, "Invalid " + name_place(error)) from None
    params = params or {}
    if isinstance((params.get("_meta") or {}).get("progressToken"), bool):
        raise ProtocolError(INVALID_PARAMS, "Invalid params._meta")
    for name in ("inputResponses", "requestState"):
        if params.get(name, "") is None:
            raise ProtocolError(INVALID_PARAMS, f"Invalid params.{name}")


def name_place(error: ValidationError) -> str:
    """Where the first mistake is, two levels deep: further down stand names and values that the client chose."""
    place = error.errors(include_input=False, include_context=False, include_url=False)[0]["loc"]
    return ".".join(str(part) for part in place[:2]) or "params"


def check_notification(message: Mapping[str, Any], version: str | None) -> None:
    """Raise ProtocolError -32020 if a notification names two versions, -32022 if nobody speaks the one that it names; unknown
    methods are accepted."""
    if is_modern(message, version) and version is not None:
        meta = (message.get("params") or {}).get("_meta")
        if isinstance(meta, dict) and meta.get(PROTOCOL_VERSION_META_KEY, version) != version:
            raise ProtocolError(HEADER_MISMATCH, "The headers name another protocol version than the message")
        rejection = unsupported_protocol_version_rejection(version, MODERN_PROTOCOL_VERSIONS)
        if rejection is not None:
            raise rejected(rejection)


def rejected(rejection: InboundLadderRejection) -> ProtocolError:
    """What the classifier found, as an error of ours."""
    return ProtocolError(rejection.code, rejection.message, rejection.data)


# --- answers ---


def answer(request: Request, work: Callable[[], dict[str, Any]]) -> tuple[int, bytes]:
    """HTTP status and body of the response to a request: the result of `work`, or what it raised, as an error. Raises nothing."""
    try:
        result = shape_result(request, work())
        return 200, encode_json({"jsonrpc": "2.0", "id": request.id, "result": result})
    except Exception as error:
        return answer_error(error, request.id, request.modern)


def answer_error(error: Exception, identity: str | int | None, modern: bool) -> tuple[int, bytes]:
    """HTTP status and body of an error; `identity` is the request's id, None if it has none that can be read."""
    told = tell(error)
    code = INTERNAL_ERROR if modern and is_of_other_era(told.code) else told.code
    body: dict[str, Any] = {"code": code, "message": told.message}
    if told.data is not None:
        body["data"] = told.data
    status = told.status
    if status is None:  # the handshake era answers an understood request with 200, whatever came of it
        status = ERROR_CODE_HTTP_STATUS.get(code, 200) if modern or identity is None else 200
    return status, encode_json({"jsonrpc": "2.0", "id": identity, "error": body})


def is_of_other_era(code: int) -> bool:
    """Whether a code, of another server's error, must not be sent in the stateless era (MCP 2026-07-28, basic)."""
    return code == OLD_NOT_FOUND or (code in OF_MCP and code not in ERROR_CODE_HTTP_STATUS)


def tell(error: Exception) -> ProtocolError:
    """What a client may know of an error. What nobody foresaw is logged under an id, without values."""
    if isinstance(error, ProtocolError):
        return error
    if isinstance(error, ToolError | TooManyRequests):
        return ProtocolError(INTERNAL_ERROR, str(error))
    if isinstance(error, PosternError):
        return ProtocolError(INTERNAL_ERROR, FORESEEN.get(type(error), "This cannot be done just now"))
    error_id = new_id()
    log.error("error %s: %s", error_id, trace(error))
    return ProtocolError(INTERNAL_ERROR, f"Internal error; the server's log has the details under {error_id}")


FORESEEN = {Cancelled: "The request was cancelled", StorageError: "The database cannot be used just now; try again"}


def shape_result(request: Request, result: dict[str, Any]) -> dict[str, Any]:
    """A handler's result as the request's version wants it. Unknown members stay. Raises ProtocolError if it does not fit."""
    is_ours = not isinstance(result, PassedOn)
    if request.modern:
        result = stamp(request.method, result)
    if is_ours:
        check_result(request, result)
    return result


def check_result(request: Request, result: dict[str, Any]) -> None:
    """Raise ProtocolError unless a result follows the request's version."""
    try:
        result_type(request.method, request.version).validate_python(result, by_name=False)
    except ValidationError as error:
        log.error("%s gave an invalid result, at %s", request.method, [fault["loc"] for fault in error.errors()][:3])
        raise ProtocolError(INTERNAL_ERROR, "The result does not follow the protocol") from None


def stamp(method: str, result: dict[str, Any]) -> dict[str, Any]:
    """What every result of the stateless era carries (MCP 2026-07-28, basic, "Responses"; server/utilities/caching)."""
    result = {"resultType": "complete", **result}
    if method in CACHEABLE_METHODS and result["resultType"] == "complete":
        result = {"ttlMs": 0, "cacheScope": "private", **result}  # what a grant shows may change at any moment
    result["_meta"] = {**(result.get("_meta") or {}), SERVER_INFO_META_KEY: PRODUCT}
    return result


@functools.cache
def result_type(method: str, version: str) -> TypeAdapter[Any]:
    """What validates the results of a method in a version."""
    return TypeAdapter(SERVER_RESULTS[method, version])
