"""An MCP server over stdio that misbehaves on demand, by hand and without a library. Run as a script; traits are its arguments.

Each tool is a function below; a trait is a thing it does differently from the start.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

TRAITS = set(sys.argv[1:])
WRITING = threading.Lock()
ANSWERS: dict[Any, dict[str, Any]] = {}  # of the client, by the id of our question
ANSWERED = threading.Condition()
CANCELLED: set[Any] = set()


def put(message: Any) -> None:
    """Write one message."""
    with WRITING:
        os.write(1, (json.dumps({"jsonrpc": "2.0"} | message) + "\n").encode())


def put_raw(data: bytes) -> None:
    """Write bytes, all of them."""
    while data:
        data = data[os.write(1, data) :]


def ask(number: Any, method: str, params: dict[str, Any]) -> dict[str, Any]:
    """Ask the client something; its whole response."""
    put({"id": number, "method": method, "params": params})
    with ANSWERED:
        assert ANSWERED.wait_for(lambda: number in ANSWERS, 10)
        return ANSWERS.pop(number)


# --- tools: (arguments, request) -> text; None says nothing at all ---


def echo(arguments: dict[str, Any], _request: dict[str, Any]) -> str:
    """What it got."""
    return json.dumps(arguments)


def about(_arguments: dict[str, Any], _request: dict[str, Any]) -> str:
    """What it is: everything that a process can see of itself."""
    limits = Path("/proc/self/limits").read_text()
    return json.dumps(
        {
            "argv": sys.argv[1:],
            "environ": dict(os.environ),
            "folder": os.getcwd(),
            "descriptors": sorted(int(name) for name in os.listdir("/proc/self/fd"))[:-1],  # the last is this listing's
            "pid": os.getpid(),
            "parent": os.getppid(),
            "group": os.getpgid(0),
            "session": os.getsid(0),
            "core": next(line for line in limits.splitlines() if "core" in line).split()[4],
            "umask": next(line for line in Path("/proc/self/status").read_text().splitlines() if "Umask" in line).split()[1],
        }
    )


def read(arguments: dict[str, Any], _request: dict[str, Any]) -> str:
    """The begin of a file, or the name of the error."""
    try:
        with open(arguments["path"], "rb") as file:
            return "read: " + file.read(64).decode(errors="replace")
    except OSError as error:
        return type(error).__name__


def write(arguments: dict[str, Any], _request: dict[str, Any]) -> str:
    """Write into a file, or the name of the error."""
    try:
        Path(arguments["path"]).write_text("written")
    except OSError as error:
        return type(error).__name__
    return "written"


def listing(arguments: dict[str, Any], _request: dict[str, Any]) -> str:
    """List a folder, or the name of the error."""
    try:
        return json.dumps(sorted(os.listdir(arguments["path"])))
    except OSError as error:
        return type(error).__name__


def hit(arguments: dict[str, Any], _request: dict[str, Any]) -> str:
    """Try to signal a process, or the name of the error."""
    try:
        os.kill(arguments["pid"], 0)
    except OSError as error:
        return type(error).__name__
    return "hit"


def run(arguments: dict[str, Any], _request: dict[str, Any]) -> str:
    """Run a program, and answer its code and output."""
    done = subprocess.run(arguments["argv"], capture_output=True, text=True, timeout=30, stdin=subprocess.DEVNULL, check=False)
    return json.dumps([done.returncode, done.stdout, done.stderr])


def complain(arguments: dict[str, Any], _request: dict[str, Any]) -> str:
    """Write to stderr."""
    sys.stderr.write(arguments["text"])
    sys.stderr.flush()
    return "done"


def daemon(arguments: dict[str, Any], _request: dict[str, Any]) -> str:
    """Leave a process behind that has its own session, no parent, nothing open, and ignores SIGTERM; answer its pid."""
    reads, writes = os.pipe()
    if os.fork() == 0:
        os.setsid()
        if os.fork() == 0:
            signal.signal(signal.SIGTERM, signal.SIG_IGN)
            os.write(writes, str(os.getpid()).encode())
            os.closerange(0, 100)
            time.sleep(arguments.get("seconds", 600))
        os._exit(0)
    os.wait()
    os.close(writes)
    return os.read(reads, 100).decode()


def rabbit(_arguments: dict[str, Any], _request: dict[str, Any]) -> str:
    """Leave a process behind that runs away: it forks, and its parent ends, on and on."""
    if os.fork() == 0:
        os.setsid()
        os.closerange(0, 100)
        end = time.monotonic() + 60
        while time.monotonic() < end:
            if os.fork():
                os._exit(0)
    return "off it goes"


def crash(_arguments: dict[str, Any], _request: dict[str, Any]) -> None:
    """End at once."""
    os._exit(3)


def hang(_arguments: dict[str, Any], _request: dict[str, Any]) -> None:
    """Do nothing more at all: not even read."""
    time.sleep(600)


def stay_silent(_arguments: dict[str, Any], _request: dict[str, Any]) -> None:
    """Do not answer this one."""


def close_output(_arguments: dict[str, Any], _request: dict[str, Any]) -> None:
    """Close stdout, and live on."""
    os.close(1)


def flood_errors(_arguments: dict[str, Any], _request: dict[str, Any]) -> str:
    """Much to stderr."""
    for _ in range(64):
        os.write(2, b"x" * 1023 + b"\n")
    return "done"


def flood(arguments: dict[str, Any], _request: dict[str, Any]) -> None:
    """The same bytes to stdout, on and on."""
    while True:
        put_raw(arguments["text"].encode())


def garble(arguments: dict[str, Any], request: dict[str, Any]) -> str:
    """Bytes to stdout, given in Latin-1; then answer, as if nothing had been. `$ID` in them is the request's id."""
    put_raw(arguments["bytes"].encode("latin-1").replace(b"$ID", str(request["id"]).encode()))
    return "done"


def mumble(arguments: dict[str, Any], request: dict[str, Any]) -> None:
    """The same, and no answer."""
    garble(arguments, request)


def drip(arguments: dict[str, Any], request: dict[str, Any]) -> None:
    """Answer in pieces of a few bytes."""
    answer = {"jsonrpc": "2.0", "id": request["id"], "result": {"content": [{"type": "text", "text": arguments["text"]}]}}
    for byte in (json.dumps(answer) + "\n").encode():
        os.write(1, bytes([byte]))


def big(arguments: dict[str, Any], _request: dict[str, Any]) -> str:
    """A long answer."""
    return "x" * arguments["size"]


def progress(_arguments: dict[str, Any], request: dict[str, Any]) -> str:
    """Report progress and log a line."""
    token = request["params"].get("_meta", {}).get("progressToken")
    for step in (1, 2):
        put({"method": "notifications/progress", "params": {"progressToken": token, "progress": step, "total": 2}})
    put({"method": "notifications/message", "params": {"level": "warning", "data": "careful"}})
    return str(token)


def elicit(arguments: dict[str, Any], request: dict[str, Any]) -> str:
    """Ask the person."""
    params = {"message": arguments.get("message", "Sure?"), "requestedSchema": {"type": "object", "properties": {}}}
    return json.dumps(ask(f"q{request['id']}", "elicitation/create", params))


def ping(_arguments: dict[str, Any], request: dict[str, Any]) -> str:
    """Ask whether the client is there."""
    return json.dumps(ask(f"q{request['id']}", "ping", {}))


def sleep(arguments: dict[str, Any], request: dict[str, Any]) -> str:
    """Take a while; say whether it was cancelled meanwhile."""
    time.sleep(arguments["seconds"])
    return "cancelled" if request["id"] in CANCELLED else "slept"


def was_cancelled(_arguments: dict[str, Any], _request: dict[str, Any]) -> str:
    """The ids of all requests that were cancelled."""
    return json.dumps(sorted(CANCELLED))


def change_tools(_arguments: dict[str, Any], _request: dict[str, Any]) -> str:
    """Say that the list has changed."""
    put({"method": "notifications/tools/list_changed"})
    return "done"


NAMES = (
    "echo about read write listing hit run complain daemon rabbit crash hang stay_silent close_output flood_errors flood garble "
    "mumble drip big progress elicit ping sleep was_cancelled change_tools"
)
TOOLS = {name: globals()[name] for name in NAMES.split()}
ALONE = ("hang", "crash")  # not in a thread of their own


# --- requests ---


def call_tool(request: dict[str, Any]) -> None:
    """`tools/call`."""
    params = request["params"]
    text = TOOLS[params["name"]](params.get("arguments") or {}, request)
    if text is not None:
        put({"id": request["id"], "result": {"content": [{"type": "text", "text": text}], "isError": False}})


def handle(message: dict[str, Any]) -> None:
    """One message of the client."""
    method = message.get("method")
    if method is None:
        with ANSWERED:
            ANSWERS[message["id"]] = message
            ANSWERED.notify_all()
    elif method == "initialize":
        about_us = {"protocolVersion": "2025-06-18", "capabilities": {"tools": {}}, "serverInfo": {"name": "child"}}
        put({"id": message["id"], "result": about_us})
    elif method == "notifications/cancelled":
        CANCELLED.add(message["params"]["requestId"])
    elif method == "tools/call" and message["params"]["name"] in ALONE:
        call_tool(message)
    elif method == "tools/call":
        threading.Thread(target=call_tool, args=(message,), daemon=True).start()
    elif "id" in message and "mute" not in TRAITS:
        put({"id": message["id"], "error": {"code": -32601, "message": "Method not found"}})


def main() -> None:
    """Serve until the end of the input."""
    if "deaf" in TRAITS:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    if "dead" in TRAITS:
        sys.stderr.write("cannot begin\n")
        sys.exit(5)
    if "stuck" in TRAITS:
        time.sleep(600)
    if "banner" in TRAITS:
        print("Welcome to the server!\n\n{not json}\n[]\n", flush=True)
    for line in sys.stdin.buffer:
        message = json.loads(line)
        if "touchy" in TRAITS and message.get("method") == "server/discover":
            sys.exit(4)
        handle(message)
    if "stubborn" in TRAITS:
        time.sleep(600)


if __name__ == "__main__":
    main()
