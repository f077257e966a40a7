"""A bare Flask route that answers an echo: what the web server and the framework cost by themselves. No token, no checks."""

from __future__ import annotations

import json

import offer
from flask import Flask, Response, jsonify, request

app = Flask("floor")


@app.get("/healthz")
def healthz() -> str:
    return "ok"


@app.post("/mcp")
def call() -> Response:
    message = request.get_json()
    said = offer.echo(message["params"]["arguments"]["message"], 1)
    result = {"content": [{"type": "text", "text": json.dumps(said)}], "isError": False, "structuredContent": said}
    return jsonify(jsonrpc="2.0", id=message["id"], result=result)
