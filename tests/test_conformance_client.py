"""The conformance suite for clients: Postern signs in at the suite's servers, and assistants of both eras use what they offer.

Nothing may fail, and nothing go untried, but what is named here.
"""

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
# whose server must not be trusted, or asks for a sign-in without end, so that nobody gets as far as to call a tool
KEPT_OUT = frozenset(
    f"auth/{name}"
    for name in (
        "iss-normalized",
        "iss-supported-missing",
        "iss-unexpected",
        "iss-wrong-issuer",
        "metadata-issuer-mismatch",
        "resource-mismatch",
        "scope-retry-limit",
    )
)
# (scenario, name of a check that the suite skips) -> why nothing is there to be checked
UNTRIED = {
    ("http-standard-headers", "ClientMcpMethodHeader_initialize"): "a server of this era is greeted without a handshake",
    ("http-standard-headers", "ClientMcpMethodHeader_notifications_initialized"): "as above",
    ("request-metadata", "ClientDeclaresElicitationCapability"): "its server has no tools, so no call can be asked anything",
    ("request-metadata", "ClientDeclaresRootsCapability"): "as above",
    ("request-metadata", "ClientDeclaresSamplingCapability"): "as above",
}
EACH_REQUEST = "valid-bearer-token"  # how many there are says nothing about signing in
# (which scenarios, how many of them, passing checks)
EXPECTED = [
    (("--requirements", "2026-07-28"), 33, 391),
    (("--requirements", "2025-11-25"), 19, 212),
    (("--scenario", "auth/2025-03-26-oauth-metadata-backcompat"), 1, 8),
    (("--scenario", "auth/2025-03-26-oauth-endpoint-fallback"), 1, 3),
]

pytestmark = [pytest.mark.server, pytest.mark.node]


@pytest.fixture(scope="module")
def clients(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Where the suite's clients are reached."""
    with listening_clients(tmp_path_factory.mktemp("clients")) as socket:
        yield socket


def run_suite(clients: Path, which: tuple[str, str], folder: Path) -> tuple[dict[str, list[dict]], dict[str, str]]:
    """The checks of each scenario, and why its client gave up, where it did."""
    suite = need_package("@modelcontextprotocol/conformance") / "dist" / "index.js"
    command = f"{sys.executable} -S -E {COMMAND} {clients}"
    subprocess.run(
        [find_node(), suite, "client", "--command", command, "--timeout", "60000", "--output-dir", folder, *which],
        capture_output=True, check=False, timeout=120,
    )  # fmt: skip
    found, failures = {}, {}
    for path in sorted(folder.rglob("checks.json")):
        scenario = re.sub(r"-\d{4}-\d\d-\d\dT[^T]*$", "", str(path.parent.relative_to(folder)))
        if scenario not in NOT_OFFERED:
            found[scenario] = json.loads(path.read_text())
            if failure := (path.parent / "stderr.txt").read_text():
                failures[scenario] = failure
    return found, failures


@pytest.mark.parametrize(("which", "count", "passing"), EXPECTED, ids=[row[0][1] for row in EXPECTED])
def test_every_scenario_passes(clients: Path, tmp_path: Path, which, count: int, passing: int):
    found, failures = run_suite(clients, which, tmp_path)

    checks = [(scenario, check) for scenario, checks in found.items() for check in checks]
    assert [row for row in checks if row[1]["status"] not in ("SUCCESS", "INFO", "SKIPPED")] == []
    skipped = {(scenario, check["name"]) for scenario, check in checks if check["status"] == "SKIPPED"}
    assert skipped == {row for row in UNTRIED if row[0] in found}
    good = Counter(scenario for scenario, check in checks if check["status"] == "SUCCESS" and check["id"] != EACH_REQUEST)
    assert (len(found), good.total()) == (count, passing), good
    assert failures.keys() == KEPT_OUT & found.keys(), failures
