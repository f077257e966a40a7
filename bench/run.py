"""`make bench`: authenticated MCP requests per second and worker process, Postern beside its peers. Alters nothing of it."""

from __future__ import annotations

import argparse
import importlib.metadata
import json
import os
import platform
import random
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from dataclasses import asdict
from itertools import product
from pathlib import Path
from typing import Any, NamedTuple

import offer
from load import Job
from report import render
from servers import BENCH, Target, make_peers, running_targets

METHODS = ("tools/call", "tools/list")
ERAS = ("2025-11-25", "2026-07-28")
CONNECTIONS = (1, 4, 16)
WARM_SECONDS = 0.3
SAID = "Good morning"
PARAMS: dict[str, dict[str, Any]] = {"tools/call": {"arguments": {"message": SAID, "times": 1}}, "tools/list": {}}
ENVELOPE = {
    "io.modelcontextprotocol/protocolVersion": "2026-07-28",
    "io.modelcontextprotocol/clientInfo": {"name": "bench", "version": "1"},
    "io.modelcontextprotocol/clientCapabilities": {},
}


class Cell(NamedTuple):
    """One thing that is measured: a server, and what it is asked over how many connections."""

    target: str
    method: str
    era: str
    connections: int


def list_cells() -> list[Cell]:
    """All of them; the floor knows no lists and no eras."""
    cells = [Cell(*facts) for facts in product(("postern", "sdk", "fastmcp"), METHODS, ERAS, CONNECTIONS)]
    return cells + [Cell("floor", "tools/call", ERAS[0], connections) for connections in CONNECTIONS]


def build_request(target: Target, method: str, era: str, tool: str) -> str:
    """The bytes of one HTTP request, the same for every server but for port, token and tool name."""
    params = PARAMS[method] | ({"name": tool} if method == "tools/call" else {})
    headers = {
        "Host": f"localhost:{target.port}",
        "Authorization": f"Bearer {target.token}",
        "Accept": "application/json, text/event-stream",
        "Content-Type": "application/json",
        "MCP-Protocol-Version": era,
    }
    if era == "2026-07-28":  # MCP 2026-07-28, basic/transports, "Standard Request Headers"
        params = params | {"_meta": ENVELOPE}
        headers |= {"Mcp-Method": method} | ({"Mcp-Name": tool} if method == "tools/call" else {})
    body = json.dumps({"jsonrpc": "2.0", "id": 1, "method": method, "params": params}, separators=(",", ":"))
    headers["Content-Length"] = str(len(body))
    return f"POST {target.path} HTTP/1.1\r\n" + "".join(f"{name}: {value}\r\n" for name, value in headers.items()) + "\r\n" + body


def measure(target: Target, request: str, connections: int, seconds: float) -> dict[str, Any]:
    """One sample, taken by a load process of its own. Raises CalledProcessError if an answer was not as the others."""
    job = Job(target.port, request, connections, WARM_SECONDS, seconds, list(target.pids))
    command = [sys.executable, str(BENCH / "load.py")]
    done = subprocess.run(
        command, input=json.dumps(asdict(job)), stdout=subprocess.PIPE, text=True, check=True, timeout=seconds + 60
    )
    return json.loads(done.stdout)


def find_echo(target: Target) -> str:
    """The name under which a server offers `echo`. Raises AssertionError if it does not offer as many tools as the others."""
    if target.name == "floor":
        return "echo"
    answer = measure(target, build_request(target, "tools/list", ERAS[0], ""), 1, 1.0)["answer"]
    names = [tool["name"] for tool in json.loads(answer)["result"]["tools"]]
    assert len(names) == len(offer.NAMES), names
    return next(name for name in names if name.endswith("echo"))


def check_answer(cell: Cell, answer: str) -> None:
    """Raise AssertionError unless the answer is what was asked for: a fast refusal is no result."""
    result = json.loads(answer)["result"]
    if cell.method == "tools/call":
        assert result["structuredContent"] == {"message": SAID, "times": 1}, answer
        assert result.get("isError", False) is False, answer
    else:
        assert len(result["tools"]) == len(offer.NAMES), answer


def run_rounds(targets: dict[str, Target], rounds: int, seconds: float) -> dict[Cell, list[dict[str, Any]]]:
    """The samples of every cell, one a round. In a round the servers take turns: what else the machine does hits them all."""
    echoes = {name: find_echo(target) for name, target in targets.items()}
    cells = list_cells()
    samples: dict[Cell, list[dict[str, Any]]] = defaultdict(list)
    for number in range(1, rounds + 1):
        random.shuffle(cells)
        for cell in sorted(cells, key=lambda cell: cell[1:]):  # one question after the other, the servers in random order
            target = targets[cell.target]
            request = build_request(target, cell.method, cell.era, echoes[cell.target])
            sample = measure(target, request, cell.connections, seconds)
            check_answer(cell, sample["answer"])
            sample["answer_bytes"] = len(sample.pop("answer").encode())
            samples[cell].append(sample)
            print(f"{number}/{rounds} {' '.join(map(str, cell)):44} {sample['per_second']:8.0f}/s", flush=True)
    return samples


def describe_machine(other_load: float) -> dict[str, Any]:
    """What a reader must know to compare."""
    words = "import importlib.metadata as m, json, sys; print(json.dumps({n: m.version(n) for n in sys.argv[1:]}))"
    peers = ("mcp", "fastmcp", "uvicorn", "starlette", "pydantic")
    found = subprocess.run([make_peers(), "-c", words, *peers], stdout=subprocess.PIPE, text=True, check=True)
    return {
        "date": time.strftime("%Y-%m-%d", time.gmtime()),
        "cores": len(os.sched_getaffinity(0)),
        "other_load": round(other_load, 2),
        "kernel": platform.release(),
        "python": platform.python_version(),
        "postern": {name: importlib.metadata.version(name) for name in ("gunicorn", "flask", "mcp", "pydantic")},
        "peers": json.loads(found.stdout),
    }


def main() -> None:
    """Measure, print, and keep the results."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=1.5, help="of each sample")
    parser.add_argument("--out", type=Path, default=BENCH / "results")
    options = parser.parse_args()
    other_load = os.getloadavg()[0]
    with tempfile.TemporaryDirectory(prefix="bench-") as folder, running_targets(Path(folder)) as targets:
        samples = run_rounds(targets, options.rounds, options.seconds)
    results = {
        "machine": describe_machine(other_load),
        "rounds": options.rounds,
        "seconds": options.seconds,
        "cells": [{**cell._asdict(), "samples": taken} for cell, taken in sorted(samples.items())],
    }
    options.out.mkdir(parents=True, exist_ok=True)
    (options.out / "latest.json").write_text(json.dumps(results, indent=1) + "\n")
    table = render(results)
    (options.out / "latest.md").write_text(table)
    print(table)


if __name__ == "__main__":
    main()
