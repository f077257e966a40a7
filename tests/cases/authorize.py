"""Visits to /authorize, and what a redirect says. Holds no test."""

from __future__ import annotations

from urllib.parse import parse_qs, urlsplit

import requests
from actors import Person


def visit(person: Person, url: str) -> requests.Response:
    """Open an address and follow nothing."""
    return person.session.get(url, allow_redirects=False, timeout=10)


def parameters(location: str) -> dict[str, list[str]]:
    """The parameters of a redirect."""
    return parse_qs(urlsplit(location).query, keep_blank_values=True)
