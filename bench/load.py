"""The load: connections that each ask, wait for the whole answer, and ask again. Knows HTTP/1.1 as far as it must, and no MCP.

Reads one job as JSON on stdin (see Job), answers one JSON object on stdout.
"""

from __future__ import annotations

import asyncio
import json
import os
import re
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from statistics import quantiles

LENGTH = re.compile(rb"^content-length: *(\d+)\r?$", re.IGNORECASE | re.MULTILINE)
MAX_REQUESTS = 50_000  # whatever the time says
START_SECONDS = 10


@dataclass
class Job:
    """What to send, where, over how many connections and for how long; `pids` are the server's processes."""

    port: int
    request: str
    connections: int
    warm_seconds: float
    seconds: float
    pids: list[int]


class Asker(asyncio.Protocol):
    """One kept-alive connection. Every answer has to be the same 200 as the first one of all."""

    def __init__(self, request: bytes, tally: Tally):
        self.request, self.tally = request, tally
        self.buffer = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport
        self.ask()

    def ask(self) -> None:
        """Send the request, in one piece."""
        self.asked_at = time.perf_counter()
        self.transport.write(self.request)

    def data_received(self, data: bytes) -> None:
        self.buffer += data
        head, end, body = self.buffer.partition(b"\r\n\r\n")
        if not end or len(body) < int(LENGTH.search(head)[1]):
            return
        self.buffer = b""
        if self.tally.note(head, body, time.perf_counter() - self.asked_at):
            self.ask()

    def connection_lost(self, error: Exception | None) -> None:
        self.tally.fail("the server closed the connection")


class Tally:
    """Counts what comes back."""

    def __init__(self) -> None:
        self.seconds: list[float] = []
        self.answer: bytes | None = None
        self.failed: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def note(self, head: bytes, body: bytes, seconds: float) -> bool:
        """Count one answer; whether to go on."""
        self.answer = self.answer or body
        if not head.startswith(b"HTTP/1.1 200") or body != self.answer:
            self.fail(f"an unexpected answer: {head[:200]!r} {body[:300]!r}")
            return False
        self.seconds.append(seconds)
        return len(self.seconds) < MAX_REQUESTS

    def fail(self, why: str) -> None:
        """End the run."""
        if not self.failed.done():
            self.failed.set_exception(RuntimeError(why))

    async def watch(self, seconds: float) -> None:
        """Let the connections work. Raises what went wrong meanwhile."""
        done, _ = await asyncio.wait([self.failed], timeout=seconds)
        for future in done:
            future.result()


def cpu_seconds(pids: list[int]) -> float | None:
    """Processor time that these processes have used; None where there is no /proc."""
    try:
        fields = [Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split() for pid in pids]
    except FileNotFoundError:
        return None
    return sum(int(field[11]) + int(field[12]) for field in fields) / os.sysconf("SC_CLK_TCK")  # proc(5): utime and stime


async def work(job: Job) -> dict[str, object]:
    """Do the job; answers counts, times and one answer."""
    tally = Tally()
    loop = asyncio.get_running_loop()
    async with asyncio.timeout(START_SECONDS):
        for _ in range(job.connections):
            await loop.create_connection(lambda: Asker(job.request.encode(), tally), "127.0.0.1", job.port)
    await tally.watch(job.warm_seconds)
    tally.seconds.clear()
    began, used = time.perf_counter(), cpu_seconds(job.pids)
    await tally.watch(job.seconds)
    took, spent = time.perf_counter() - began, cpu_seconds(job.pids)
    count = len(tally.seconds)
    if count < 2:
        raise RuntimeError(f"{count} answers in {took:.1f} s")
    cuts = quantiles(tally.seconds, n=100)
    return {
        "requests": count,
        "per_second": round(count / took, 1),
        "cpu_microseconds": None if used is None else round((spent - used) / count * 1e6, 1),
        "p50_ms": round(cuts[49] * 1000, 3),
        "p99_ms": round(cuts[98] * 1000, 3),
        "answer": tally.answer.decode(),
    }


if __name__ == "__main__":
    print(json.dumps(asyncio.run(work(Job(**json.load(sys.stdin))))))
