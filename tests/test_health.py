"""health.py: alive, ready, and why not is nobody's business."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
from flask import Flask
from flask.testing import FlaskClient

import health
from config import Settings
from db import Database, open_database


def client_of(db: Database, settings: Settings) -> FlaskClient:
    """A browser of an app that has nothing but the health pages."""
    app = Flask("postern")
    app.extensions["postern"] = SimpleNamespace(db=db, settings=settings)
    app.register_blueprint(health.bp)
    return app.test_client()


@pytest.mark.parametrize("path", ["/healthz", "/readyz"])
def test_it_answers_200_while_all_is_well(db: Database, settings: Settings, path: str):
    answer = client_of(db, settings).get(path)
    assert answer.status_code == 200
    assert answer.headers["Cache-Control"] == "no-store"


def test_it_is_alive_but_not_ready_without_its_tables(settings: Settings):
    db = open_database(settings.database_url)
    client = client_of(db, settings)
    assert client.get("/healthz").status_code == 200
    answer = client.get("/readyz")
    assert (answer.status_code, answer.text) == (503, "not ready\n")
    db.close()


def test_it_is_not_ready_with_a_database_of_a_newer_version(db: Database, settings: Settings):
    with db.write() as run:
        run("INSERT INTO migrations (name, applied_at) VALUES ('9999_from_the_future.sql', 0)")
    assert client_of(db, settings).get("/readyz").status_code == 503


def test_it_is_not_ready_when_the_file_is_broken_and_does_not_say_why(db: Database, settings: Settings):
    db.close()
    db.path.write_bytes(b"this is no database" * 100)
    for name in ("-wal", "-shm"):
        db.path.with_name(db.path.name + name).unlink(missing_ok=True)
    answer = client_of(db, settings).get("/readyz")
    assert (answer.status_code, answer.text) == (503, "not ready\n")


@pytest.mark.parametrize("path", ["/healthz", "/readyz"])
def test_it_refuses_a_post(db: Database, settings: Settings, path: str):
    assert client_of(db, settings).post(path).status_code == 405
