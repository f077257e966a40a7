"""The floors of the house: an import may only point to a strictly lower one, and each kind of work has its place."""

from __future__ import annotations

import ast
import importlib.metadata
import re
import sys
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
FLOORS = {
    "9": "app cli gunicorn.conf",
    "8.7": "emulation",
    "8.5": "smoke",
    "8": (
        "admin api_keys clients connect connections exporting feature_pages health importing mcp_bridge oauth people profiles "
        "register startup upstream_pages wellknown"
    ),
    "8.2": "found profile_features",
    "7.7": "mcp_turns",
    "7.5": "answers guarded mcp_listen mcp_sessions signins",
    "7.2": "mcp_updates",
    "7.1": "mcp_methods",
    "7": "forms mcp_call mcp_http oauth_checks web",
    "6.5": "gateway",
    "6": "callers cors jobs limits offers protocol toolbox upstream_definitions upstream_forms",
    "5.9": "searching",
    "5.8": "their_search",
    "5.7": "views",
    "5.5": "discovery shelf",
    "5": "accounts connectors.catalog exports feature_checks forwarded joining listings preregistration",
    "4.7": "forwarding",
    "4.5": "continuing client_documents known_servers",
    "4.4": "upstream_tokens",
    "4.2": "upstream_oauth",
    "4.1": "watches",
    "4": "client_trust connectors.* timeline upstream",
    "3.9": "definition_texts",
    "3.8": "definition_catalogues upstream_grants upstream_opener",
    "3.7": "definition_editors upstream_clients",
    "3.6": "definition_changes definition_parts upstream_http upstream_metadata upstream_sse upstream_stdio",
    "3.55": "server_definitions",
    "3.5": "client_assertions definitions",
    "3.2": "store.codes store.emulated_documents store.features store.profiles store.upstream_signins",
    "3": "store.*",
    "2.97": "upstream_watch",
    "2.95": "upstream_listen",
    "2.9": "upstream_greeting upstream_posts",
    "2.8": "store.looks store.members store.sessions upstream_endpoint upstream_headers upstream_levels upstream_rpc",
    "2.7": "errands links service_calls service_pages",
    "2.6": "service_messages",
    "2.5": "store.revisions tools",
    "2": "contexts db plain_browser sources",
    "1.5": "channels",
    "1": "callback children config crypto fetch joint_fetches",
    "0.5": "carrier child_folders child_pipes gate_worker upstream_messages warden",
    "0": (
        "addresses argument_checks assistants challenges errors event_lines fitting gate_io jail lead mcp_inbound "
        "naming schemas streams strict_json tails texts upstream_listens wire"
    ),
}
HEIGHT = {name: float(floor) for floor, names in FLOORS.items() for name in names.split()}
MAY_IMPORT = {  # module -> the only files that may
    "flask": (
        "app answers web admin api_keys clients connect connections exporting feature_pages found guarded health importing oauth "
        "people profile_features profiles register signins upstream_pages wellknown"
    ),
    "gunicorn": "gate_io gate_worker",
    "gate_worker": "gunicorn.conf",
    "gate_io": "gate_worker",
    "lead": "gate_worker",
    "requests": "fetch",
    "http.client": "fetch wire",
    "urllib.request": "",
    "subprocess": "children",
    "socket": "fetch wire carrier streams mcp_http gate_io gate_worker",  # from carrier on they open none
}
TAKEN = sys.stdlib_module_names | importlib.metadata.packages_distributions().keys()
FUNCTION_LINES, FILE_LINES = 40, 350
SQL = re.compile(r"(?s)\s*(SELECT|INSERT\s+INTO|UPDATE|DELETE\s+FROM|PRAGMA|BEGIN|CREATE|ALTER|DROP)\s")


def read_modules(root: Path) -> dict[str, ast.Module]:
    """Every source file outside tests/ and bench/, parsed, by its dotted name (a package's by the folder's)."""
    paths = [*root.glob("*.py"), *root.glob("store/**/*.py"), *root.glob("connectors/**/*.py")]
    names = {path: ".".join(path.relative_to(root).with_suffix("").parts).removesuffix(".__init__") for path in paths}
    return {name: ast.parse(path.read_text()) for path, name in names.items()}


def imports_of(tree: ast.Module) -> set[str]:
    """What a file imports, wherever in the file: for `from a.b import c` that is a, a.b and a.b.c."""
    found: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names} | {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found |= {node.module, node.module.partition(".")[0], *(f"{node.module}.{alias.name}" for alias in node.names)}
    return found


def height(name: str) -> float | None:
    """The floor of a module; None if it is on no floor."""
    return HEIGHT.get(name, HEIGHT.get(name.partition(".")[0] + ".*"))


def find_faults(modules: dict[str, ast.Module]) -> list[str]:
    """Everything that breaks the house rules, a sentence each."""
    faults, graph = [], {}
    for name, tree in modules.items():
        imports = imports_of(tree)
        graph[name] = (imports & modules.keys()) - {name}
        refused = {other for other in graph[name] if not may_stand_on(name, other)}
        refused |= {other for other, users in MAY_IMPORT.items() if other in imports and name not in users.split()}
        faults += [f"{name} must not import {other}" for other in sorted(refused)]
        if height(name) is None:
            faults.append(f"{name} is on no floor")
        if not name.startswith(("store.", "db")) and any(map(is_sql, ast.walk(tree))):
            faults.append(f"{name} must not hold SQL")
        if "." not in name and name in TAKEN:
            faults.append(f"{name} shadows another module")
    return faults + find_circle(graph)


def may_stand_on(name: str, other: str) -> bool:
    """Whether an import points strictly down, to a bare folder, or stays inside one connector's folder."""
    inside = name.startswith("connectors.") and name.split(".")[:2] == other.split(".")[:2]
    return inside or other in ("store", "connectors") or (height(name) or 0) > (height(other) or 0)


def find_circle(graph: dict[str, set[str]]) -> list[str]:
    """A circle of imports, if there is one."""
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        return ["a circle: " + " ".join(error.args[1])]
    return []


def is_sql(node: ast.AST) -> bool:
    """Whether a node is a string that begins like a statement."""
    return isinstance(node, ast.Constant) and isinstance(node.value, str) and SQL.match(node.value) is not None


@pytest.fixture(scope="module")
def modules() -> dict[str, ast.Module]:
    """Our own, read once."""
    return read_modules(ROOT)


def test_every_file_keeps_to_its_floor(modules: dict[str, ast.Module]):
    assert find_faults(modules) == []


def test_each_name_is_on_one_floor_only_and_is_that_of_a_file(modules: dict[str, ast.Module]):
    named = [name for names in FLOORS.values() for name in names.split()]
    assert sorted(named) == sorted(set(named))
    assert set(named) - modules.keys() == {"store.*", "connectors.*"}


def test_the_map_in_the_readme_names_every_file_of_the_root_and_no_other():
    table = (ROOT / "README.md").read_text().split("## The map")[1].split("## ")[0]
    assert set(re.findall(r"`(\w[\w.]*\.py)`", table)) == {path.name for path in ROOT.glob("*.py")}


def test_a_table_is_written_by_the_file_that_schema_sql_names_above_it_and_by_no_other():
    owners, owner = {}, ""
    for line in (ROOT / "schema.sql").read_text().splitlines():
        owner = line.removeprefix("-- ") if re.fullmatch(r"-- store/\w+\.py", line) else owner
        if table := re.match(r"CREATE TABLE (\w+)", line):
            owners[table[1]] = owner
    writes = [
        (table, path.relative_to(ROOT).as_posix())
        for path in ROOT.glob("store/*.py")
        for table in re.findall(r"(?:INSERT INTO|UPDATE|DELETE FROM)\s+(\w+)", path.read_text())
        if table in owners
    ]
    assert {table for table, _ in writes} == owners.keys()
    assert [write for write in writes if owners[write[0]] != write[1]] == []


def test_no_function_and_no_file_is_too_long(modules: dict[str, ast.Module]):
    """Connectors may have longer files: what they say of their arguments takes its lines."""
    nodes = [node for tree in modules.values() for node in ast.walk(tree)]
    functions = [node for node in nodes if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)]
    assert [node.name for node in functions if node.end_lineno - node.lineno >= FUNCTION_LINES] == []
    longest = {name: tree.body[-1].end_lineno for name, tree in modules.items() if not name.startswith("connectors.")}
    assert [name for name, lines in longest.items() if lines > FILE_LINES] == []


@pytest.mark.parametrize(
    ("name", "source", "fault"),
    [
        ("store.users", "import web", "store.users must not import web"),
        ("store.users", "def f():\n    from store.tokens import find", "store.users must not import store.tokens"),
        ("callers", "import flask", "callers must not import flask"),
        ("mcp_bridge", "from flask.json import dumps", "mcp_bridge must not import flask"),
        ("connectors.weather", "import requests", "connectors.weather must not import requests"),
        ("connectors.weather", "import socket", "connectors.weather must not import socket"),
        ("connectors.weather", "from connectors import places", "connectors.weather must not import connectors.places"),
        ("web", "run('''\n    SELECT id\n    FROM users\n''')", "web must not hold SQL"),
        ("gate_worker", "import config", "gate_worker must not import config"),
        ("attic", "", "attic is on no floor"),
        ("secrets", "", "secrets shadows another module"),
        ("jwt", "", "jwt shadows another module"),
    ],
)
def test_it_catches_a_planted_fault(name: str, source: str, fault: str):
    house = {other: ast.parse("") for other in ("config", "web", "store.tokens", "connectors.places")}
    assert fault in find_faults(house | {name: ast.parse(source)})


def test_it_catches_a_circle_inside_a_connectors_folder():
    sources = {"connectors.maps.a": "import connectors.maps.b", "connectors.maps.b": "from connectors.maps import a"}
    assert find_faults({name: ast.parse(source) for name, source in sources.items()})[0].startswith("a circle: connectors.maps.")


def test_it_lets_a_sound_house_stand():
    sources = {
        "errors": "",
        "db": "import errors",
        "store.users": "import db\nrun('SELECT id FROM users')",
        "web": "import flask",
    }
    assert find_faults({name: ast.parse(source) for name, source in sources.items()}) == []
