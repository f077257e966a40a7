"""What the conformance suite starts as the client under test: hands the address on to conformance_client.py, which runs already,
and waits for how it went. Starting a Postern for each of its forty scenarios at once would take minutes."""

import json
import os
import socket
import sys

NAMES = ("MCP_CONFORMANCE_SCENARIO", "MCP_CONFORMANCE_PROTOCOL_VERSION", "MCP_CONFORMANCE_CONTEXT")

with socket.socket(socket.AF_UNIX) as line:
    line.connect(sys.argv[1])
    line.sendall(json.dumps({"url": sys.argv[2], **{name: os.environ.get(name, "") for name in NAMES}}).encode() + b"\n")
    answer = line.makefile().read()
sys.exit(answer or None)
