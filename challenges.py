"""The words of a `WWW-Authenticate` header for bearers (RFC 6750 §3): read what came, write what goes. Judges none of them."""

from __future__ import annotations

import re
from collections.abc import Mapping

HEADER_MAX = 8192
# [scheme] name="quoted" or name=token (RFC 9110 §11.6.1); a scheme stands before its first parameter only
WORD = r"[!#$%&'*+.^_`|~0-9A-Za-z-]+"
PART = re.compile(rf'(?:({WORD}) +)?({WORD})=(?:"((?:[^"\\]|\\.)*)"|([^\s,"]+))')
SCOPE = re.compile(r"[!#-\[\]-~]+( [!#-\[\]-~]+)*")  # RFC 6749 §3.3
SCOPE_MAX = 2000


def read_challenge(header: str | None) -> dict[str, str]:
    """The parameters of the Bearer challenge, by lower-case name; empty if there is none. Of two alike the first counts."""
    found: dict[str, str] = {}
    scheme = ""
    for match in PART.finditer((header or "")[:HEADER_MAX]):
        scheme = (match[1] or scheme).lower()
        if scheme == "bearer":
            value = re.sub(r"\\(.)", r"\1", match[3]) if match[3] is not None else match[4]
            found.setdefault(match[2].lower(), value)
    return found


def write_challenge(parameters: Mapping[str, str | None]) -> str:
    """A Bearer challenge with these parameters; those that are None stay out, as does what quotes cannot hold."""
    kept = {name: re.sub(r"[^ !#-\[\]-~]", "", value) for name, value in parameters.items() if value is not None}
    return "Bearer " + ", ".join(f'{name}="{value}"' for name, value in kept.items())


def read_scope(scope: object) -> str | None:
    """A scope as it may be asked for; None for anything that is not one."""
    return scope if isinstance(scope, str) and len(scope) <= SCOPE_MAX and SCOPE.fullmatch(scope) else None


def join_scopes(*scopes: str | None) -> str | None:
    """All that is in any of them, each once, in their order; None if there is nothing."""
    words = dict.fromkeys(word for scope in scopes for word in (scope or "").split(" ") if word)
    return " ".join(words) or None
