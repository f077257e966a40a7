"""Postern with the bench's tools as its only connector. Not a part of Postern."""

from __future__ import annotations

from collections.abc import Callable

import offer

from app import Gate, create_app
from tools import Connector, Context, Tool, tool


def make_tool(name: str) -> Tool:
    """One of the tools, as a connector declares it."""

    def function(_context: Context, message: offer.Message, times: offer.Times = 1) -> offer.Echo:
        return offer.echo(message, times)

    function.__name__, function.__doc__ = name, offer.DESCRIPTION
    declare: Callable[[Callable[..., offer.Echo]], Tool] = tool(title=offer.TITLE, reads=True, idempotent=True)
    return declare(function)


CONNECTOR = Connector("bench", "Bench", "Tools that do nothing", tools=tuple(make_tool(name) for name in offer.NAMES))


def make_app() -> Gate:
    """What gunicorn_bench.conf.py serves."""
    return create_app(connectors={CONNECTOR.name: CONNECTOR})
