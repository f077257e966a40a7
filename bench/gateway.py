"""`make bench`: one upstream called directly, and through Postern, FastMCP's proxy and ContextForge. Alters nothing of them."""

from __future__ import annotations

import argparse
import json
import os
import random
import tempfile
from collections import defaultdict
from contextlib import ExitStack
from pathlib import Path
from statistics import median
from typing import Any

import run
from report import describe, ratio
from servers import BENCH, Target, make_peers, running_peer
from through import running_contextforge, running_fastmcp_proxy, running_gateway

ERA = "2025-11-25"  # which all of them speak
CONNECTIONS = (1, 4)
TOOL = {"direct": "echo", "postern": "echo", "fastmcp": "echo", "contextforge": "bench-echo"}
NAMES = {"direct": "direct", "postern": "Postern", "fastmcp": "FastMCP's proxy", "contextforge": "ContextForge"}


def run_rounds(targets: dict[str, Target], rounds: int, seconds: float) -> dict[tuple[str, int], list[dict[str, Any]]]:
    """The samples of every target and number of connections, one a round; within a round they take turns in random order."""
    samples: dict[tuple[str, int], list[dict[str, Any]]] = defaultdict(list)
    for number in range(1, rounds + 1):
        for connections in CONNECTIONS:
            for name in random.sample(sorted(targets), len(targets)):
                target = targets[name]
                request = run.build_request(target, "tools/call", ERA, TOOL[name])
                sample = run.measure(target, request, connections, seconds)
                answer = json.loads(sample.pop("answer"))["result"]
                assert answer.get("structuredContent") == {"message": run.SAID, "times": 1}, (name, answer)
                samples[name, connections].append(sample)
                rate, middle = sample["per_second"], sample["p50_ms"]
                print(f"{number}/{rounds} {name:13}{connections:3}{rate:9.1f}/s{middle:9.2f} ms", flush=True)
    return samples


def render(samples: dict[tuple[str, int], list[dict[str, Any]]], machine: dict[str, Any], rounds: int, seconds: float) -> str:
    """The page: medians, and ratios within each round."""
    rows = []
    for connections in CONNECTIONS:
        for name, title in NAMES.items():
            mine = samples[name, connections]
            rate, middle = (median(sample[fact] for sample in mine) for fact in ("per_second", "p50_ms"))
            faster = ratio(samples["postern", connections], mine, "per_second") if name != "postern" else "–"
            longer = added(mine, samples["direct", connections]) if name != "direct" else "–"
            rows.append(f"| {title} | {connections} | {rate:.0f} | {middle:.2f} | {faster} | {longer} |")
    return (
        "# Calls through a gateway\n\n"
        f"`tools/call` of the same upstream (the Python SDK's server, one process), medians of {rounds} rounds of {seconds} s.\n"
        "Ratios are taken within a round: median (lowest–highest).\n\n"
        "| way | connections | calls/s | median ms | Postern ÷ it, calls/s | its median added ÷ direct median |\n"
        "|---|--:|--:|--:|--:|--:|\n" + "\n".join(rows) + f"\n\n{describe(machine)}\n"
    )


def added(mine: list[dict[str, Any]], direct: list[dict[str, Any]]) -> str:
    """How much longer than a direct call it takes, in medians of direct calls."""
    found = [(a["p50_ms"] - b["p50_ms"]) / b["p50_ms"] for a, b in zip(mine, direct, strict=True)]
    return f"{median(found):.2f} ({min(found):.2f}–{max(found):.2f})"


def main() -> None:
    """Measure, print, and keep the results."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=2, help="of each sample")
    parser.add_argument("--out", type=Path, default=BENCH / "results")
    options = parser.parse_args()
    load = os.getloadavg()[0]
    with tempfile.TemporaryDirectory(prefix="bench-") as name, ExitStack() as stack:
        folder = Path(name)
        direct = stack.enter_context(running_peer("sdk", [str(make_peers()), str(BENCH / "peer_sdk.py")], folder))
        targets = {
            "direct": direct,
            "postern": stack.enter_context(running_gateway(folder / "postern", direct)),
            "fastmcp": stack.enter_context(running_fastmcp_proxy(folder, direct)),
            "contextforge": stack.enter_context(running_contextforge(folder / "contextforge", direct)),
        }
        samples = run_rounds(targets, options.rounds, options.seconds)
    machine = run.describe_machine(load)
    options.out.mkdir(parents=True, exist_ok=True)
    kept = [{"target": key[0], "connections": key[1], "samples": taken} for key, taken in sorted(samples.items())]
    facts = {"machine": machine, "rounds": options.rounds, "seconds": options.seconds, "cells": kept}
    (options.out / "gateway.json").write_text(json.dumps(facts, indent=1) + "\n")
    page = render(samples, machine, options.rounds, options.seconds)
    (options.out / "gateway.md").write_text(page)
    print(page)


if __name__ == "__main__":
    main()
