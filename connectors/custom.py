"""Loads the connectors of whoever runs the server from a folder of theirs. Knows none of them."""

from __future__ import annotations

import importlib.util
import logging
import re
import stat
import sys
import traceback
from collections.abc import Iterable, Iterator
from pathlib import Path
from types import ModuleType

from argument_checks import check_schema
from sources import find_mistake
from tools import Connector, Tool

log = logging.getLogger("postern.custom")

NAME = re.compile(r"[a-z][a-z0-9_]{1,39}")
TOOL_NAME = re.compile(r"[A-Za-z0-9_-]{1,64}")


class Unfit(Exception):
    """A module that cannot be taken; the text is a sentence for the owner."""


def load_custom(folder: Path | None, taken: Iterable[str]) -> tuple[dict[str, Connector], dict[str, str]]:
    """The connectors of a folder, and of each module that is left out, by its file's name, the reason.

    `taken` are the names that nobody may use again.
    """
    found: dict[str, Connector] = {}
    problems: dict[str, str] = {}
    for path in list_modules(folder) if folder else ():
        try:
            connector = load_connector(path)
            if connector.name in {*taken, *found}:
                raise Unfit(f"The name “{connector.name}” is taken.")
            found[connector.name] = connector
        except Unfit as error:
            problems[path.name] = str(error)
        except (Exception, SystemExit) as error:  # whatever it is, the other connectors still work
            problems[path.name] = describe(error, path)
    for name, problem in problems.items():
        log.error("the connector in %s is left out: %s", name, problem)
    return found, problems


def list_modules(folder: Path) -> Iterator[Path]:
    """The modules of a folder: files, and folders that are packages."""
    for path in sorted(folder.iterdir()):
        is_module = path.suffix == ".py" or (path / "__init__.py").is_file()
        if is_module and not path.name.startswith(("_", ".")):
            yield path


def load_connector(path: Path) -> Connector:
    """The connector of one module. Raises Unfit, or whatever the module raises."""
    for item in (path.parent, path, *(path.rglob("*") if path.is_dir() else ())):
        if item.stat().st_mode & stat.S_IWOTH:
            raise Unfit(f"Everybody on this machine can write {item.name}.")
    connector = getattr(import_module(path), "CONNECTOR", None)
    if not isinstance(connector, Connector):
        raise Unfit("It defines no CONNECTOR, which has to be a tools.Connector.")
    if not NAME.fullmatch(connector.name):
        raise Unfit("The name of its connector must be made of small letters, digits and underscores.")
    names = [tool.name for tool in connector.tools]
    if len(set(names)) < len(names) or not all(TOOL_NAME.fullmatch(name) for name in names):
        raise Unfit("Two of its tools have one name, or one that assistants do not accept.")
    for tool in connector.tools:
        check_schemas(tool)
    if mistake := find_mistake(connector.sources, names):
        raise Unfit(mistake)
    if connector.is_upstream or connector.storage:
        raise Unfit("It cannot be another MCP server, and has no tables of its own.")
    return connector


def check_schemas(tool: Tool) -> None:
    """Make a tool's schemas, which else happens when it is first listed. Raises Unfit if they cannot be made, or are none."""
    try:
        schemas = [tool.input_schema, tool.output_schema]
        for schema in filter(None, schemas):
            check_schema(schema)
    except Exception as error:  # whatever the types of a function made pydantic raise
        raise Unfit(f"What its tool {tool.name} takes or answers cannot be described ({type(error).__name__}).") from error
    if schemas[0].get("type") != "object":
        raise Unfit(f"What its tool {tool.name} takes is no object.")


def import_module(path: Path) -> ModuleType:
    """Run a module, under a name that no other has."""
    name = "custom_" + re.sub(r"[^A-Za-z0-9_]", "_", path.stem)
    inside = [str(path)] if path.is_dir() else None
    file = path / "__init__.py" if path.is_dir() else path
    spec = importlib.util.spec_from_file_location(name, file, submodule_search_locations=inside)
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[name]
        raise
    return module


def describe(error: BaseException, path: Path) -> str:
    """What went wrong and where, without the error's own words, which may hold anything."""
    if isinstance(error, SyntaxError) and error.lineno:
        return f"{type(error).__name__} in line {error.lineno}."
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if frame.filename.startswith(str(path))]
    return f"{type(error).__name__}{f' in line {frames[-1].lineno} of {Path(frames[-1].filename).name}' if frames else ''}."
