"""The conformance suite for clients: Postern signs in at the suite's servers. Nothing may fail but what is named here."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from conformance_client import listening_clients
from npm import find_node, need_package

COMMAND = Path(__file__).parent / "conformance_command.py"
# extensions that Postern does not offer; the suite runs them and does not score them
NOT_OFFERED = frozenset(
    f"auth/{name}"
    for name in (
        "client-credentials-basic",
        "client-credentials-jwt",
        "dpop",
        "dpop-nonce",
        "enterprise-managed-authorization",
        "wif-jwt-bearer",
    )
)
EACH_REQUEST = "valid-bearer-token"  # how many there are says nothing about signing in
# (which scenarios, how many of them, passing checks)
EXPECTED = [
    (("--requirements", "2026-07-28"), 25, 306),
    (("--requirements", "2025-11-25"), 14, 187),
    (("--scenario", "auth/2025-03-26-oauth-metadata-backcompat"), 1, 8),
    (("--scenario", "auth/2025-03-26-oauth-endpoint-fallback"), 1, 3),
]

pytestmark = [pytest.mark.server, pytest.mark.node]


@pytest.fixture(scope="module")
def clients(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Where the suite's clients are reached."""
    with listening_clients(tmp_path_factory.mktemp("clients")) as socket:
        yield socket


def run_suite(clients: Path, which: tuple[str, str], folder: Path) -> dict[str, list[dict]]:
    """The checks of each scenario about signing in."""
    suite = need_package("@modelcontextprotocol/conformance") / "dist" / "index.js"
    command = f"{sys.executable} -S -E {COMMAND} {clients}"
    subprocess.run(
        [find_node(), suite, "client", "--command", command, "--timeout", "120000", "--output-dir", folder, *which],
        capture_output=True, check=False, timeout=300,
    )  # fmt: skip
    found = {}
    for path in sorted(folder.rglob("checks.json")):
        scenario = re.sub(r"-\d{4}-\d\d-\d\dT[^T]*$", "", str(path.parent.relative_to(folder)))
        if scenario.startswith("auth/") and scenario not in NOT_OFFERED:
            found[scenario] = json.loads(path.read_text())
    return found


@pytest.mark.parametrize(("which", "count", "passing"), EXPECTED, ids=[row[0][1] for row in EXPECTED])
def test_every_scenario_about_signing_in_passes(clients: Path, tmp_path: Path, which, count: int, passing: int):
    found = run_suite(clients, which, tmp_path)

    checks = [(scenario, check["status"], check["id"]) for scenario, checks in found.items() for check in checks]
    assert [check for check in checks if check[1] not in ("SUCCESS", "INFO")] == []
    good = Counter(scenario for scenario, status, name in checks if status == "SUCCESS" and name != EACH_REQUEST)
    assert (len(found), good.total()) == (count, passing), good
