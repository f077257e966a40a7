"""Results as a Markdown page: medians, and ratios within each round. Measures nothing."""

from __future__ import annotations

from statistics import median
from typing import Any

PEERS = {"sdk": "SDK", "fastmcp": "FastMCP"}
HEADING = (
    "| method | era | connections | Postern | SDK | FastMCP | ÷ SDK | ÷ FastMCP | CPU ÷ SDK |\n"
    "|---|---|--:|--:|--:|--:|--:|--:|--:|\n"
)


def render(results: dict[str, Any]) -> str:
    """The page."""
    samples = {
        (cell["method"], cell["era"], cell["connections"], cell["target"]): cell["samples"] for cell in results["cells"]
    }
    questions = sorted({key[:3] for key in samples})
    rows = "".join(render_row(question, samples) for question in questions)
    floor = ", ".join(
        f"{middle(taken, 'per_second'):.0f} at {key[2]}" for key, taken in sorted(samples.items()) if key[3] == "floor"
    )
    return (
        "# Requests per second and worker process\n\n"
        f"Medians of {results['rounds']} rounds of {results['seconds']} s. Ratios within a round: median (lowest–highest).\n\n"
        f"{HEADING}{rows}\n"
        f"The floor, a bare Flask route without token or checks, by connections: {floor}.\n\n"
        f"{describe(results['machine'])}\n"
    )


def render_row(question: tuple[str, str, int], samples: dict[tuple[Any, ...], list[dict[str, Any]]]) -> str:
    """One line of the table."""
    method, era, connections = question
    postern = samples[*question, "postern"]
    rates = [middle(samples[*question, name], "per_second") for name in ("postern", *PEERS)]
    ratios = [ratio(postern, samples[*question, name], "per_second") for name in PEERS]
    processor = ratio(samples[*question, "sdk"], postern, "cpu_microseconds")
    numbers = [f"{rate:.0f}" for rate in rates] + [*ratios, processor]
    return f"| {method} | {era} | {connections} | " + " | ".join(numbers) + " |\n"


def middle(samples: list[dict[str, Any]], name: str) -> float:
    """The median of one number."""
    return median(sample[name] for sample in samples)


def ratio(ours: list[dict[str, Any]], theirs: list[dict[str, Any]], name: str) -> str:
    """One number's ratio round by round: the median, and in brackets the lowest and the highest; – where it was not measured."""
    pairs = [(mine[name], other[name]) for mine, other in zip(ours, theirs, strict=True)]
    if not all(mine and other for mine, other in pairs):
        return "–"
    ratios = [mine / other for mine, other in pairs]
    return f"{median(ratios):.2f} ({min(ratios):.2f}–{max(ratios):.2f})"


def describe(machine: dict[str, Any]) -> str:
    """Where and with what it was measured."""
    versions = {side: ", ".join(f"{name} {number}" for name, number in machine[side].items()) for side in ("postern", "peers")}
    return (
        f"{machine['date']}, {machine['cores']} cores, Linux {machine['kernel']}, Python {machine['python']}, "
        f"{machine['other_load']:.1f} other processes wanted to run when it began. "
        f"Postern: {versions['postern']}. Peers: {versions['peers']}."
    )
