"""Lets all applications that tests make in one process share what is compiled from templates and routes: each test makes its own
application, and compiling took most of a test's time. Holds no test."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from flask import Flask
from jinja2 import BytecodeCache
from jinja2.bccache import Bucket
from werkzeug.routing import Rule


class Templates(BytecodeCache):
    """Templates as code, by their source."""

    def __init__(self) -> None:
        self._kept: dict[str, bytes] = {}

    def load_bytecode(self, bucket: Bucket) -> None:
        """Give back what was kept of this source, if it is the same still (Jinja's own check)."""
        if found := self._kept.get(bucket.key):
            bucket.bytecode_from_string(found)

    def dump_bytecode(self, bucket: Bucket) -> None:
        """Keep it."""
        self._kept[bucket.key] = bucket.bytecode_to_string()


def keep_routes() -> None:
    """Make the function that builds a route's addresses once for each route. It depends on nothing but what is its key here."""
    compile_route: Callable[..., Any] = Rule._compile_builder
    kept: dict[Any, Any] = {}

    def compile_once(rule: Rule, append_unknown: bool = True) -> Any:
        key = (tuple(rule._trace), tuple((rule.defaults or {}).items()), append_unknown)
        if key not in kept:
            kept[key] = compile_route(rule, append_unknown)
        return kept[key]

    Rule._compile_builder = compile_once


def share() -> None:
    """For all applications from now on."""
    Flask.jinja_options = {"bytecode_cache": Templates()}
    keep_routes()
