"""Assembly only: makes the parts, hands each what it needs, and mounts them. Does no work of its own."""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from typing import Any
from urllib.parse import urlsplit

from flask import Flask

import admin
import answers
import api_keys
import clients
import connect
import connections
import exporting
import feature_pages
import found
import health
import importing
import oauth
import people
import profile_features
import profiles
import register
import upstream_pages
import web
import wellknown
from callers import Callers
from client_assertions import ClientAssertions
from client_documents import ClientDocuments
from config import Settings, load_settings
from connectors.catalog import CONNECTORS
from connectors.custom import load_custom
from crypto import Vault
from db import Database, check_current, open_database
from errors import ConfigError
from fetch import Fetcher
from gateway import Gateway, Servers, open_gateway, remove_folders_of_none
from jobs import Jobs, Task, for_each
from known_servers import KnownServers
from limits import Limits
from mcp_bridge import Bridge
from startup import HERE, MIGRATIONS
from store.api_keys import purge_keys
from store.assertions import purge_assertions
from store.authorizations import purge_requests
from store.cache import ScopedCache, purge_cache
from store.clients import purge_clients
from store.connections import list_connections_of
from store.continuations import purge_continuations
from store.emulated_documents import purge_documents
from store.keys import open_vault
from store.mcp_sessions import purge_mcp_sessions
from store.personal_context import purge_personal_context
from store.rate_limits import purge_rate_limits
from store.sessions import purge_sessions
from store.signins import purge_sign_ins
from store.tokens import purge_tokens
from store.upstream_signins import purge_visits
from store.users import purge_logins
from toolbox import Toolbox
from tools import Call, Connector
from upstream_oauth import UpstreamOAuth
from upstream_tokens import get_tokens

MINUTE, TEN_MINUTES, HOUR, DAY = 60, 600, 3600, 86400
LOG_FORMAT, LOG_TIME = "%(asctime)s [%(process)d] [%(levelname)s] %(message)s", "[%Y-%m-%d %H:%M:%S %z]"  # as gunicorn's
PAGES = (
    people.bp, connect.bp, connections.bp, feature_pages.bp, profiles.bp, profile_features.bp, upstream_pages.bp,
    importing.bp, exporting.bp, api_keys.bp, admin.bp, clients.bp, register.bp, oauth.bp,
    found.bp, wellknown.bp, health.bp,
)  # fmt: skip


class Gate:
    """The WSGI application of a worker: `/mcp` goes to the bridge, before Flask's routing; all else is pages."""

    quick = (b"POST /mcp",)  # answered in the event loop's own thread (gate_worker.py); pages hash passwords and wait for disks

    def __init__(self, bridge: Bridge, pages: Flask, jobs: Jobs, gateway: Gateway, toolbox: Toolbox):
        self.bridge, self.pages, self.jobs, self.gateway, self.toolbox = bridge, pages, jobs, gateway, toolbox

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        """WSGI (PEP 3333)."""
        path = environ["PATH_INFO"]
        answer = self.bridge if path == "/mcp" or path.startswith("/mcp/") else self.pages
        return answer(environ, start_response)

    def start(self) -> None:
        """Begin the periodic work."""
        self.jobs.start()

    def stop(self) -> None:
        """End live streams, the periodic work, and what leads to other servers: the worker is going down."""
        self.bridge.stop()
        self.gateway.stop()
        self.toolbox.stop()
        self.jobs.stop()


def create_app(
    settings: Settings | None = None,
    connectors: Mapping[str, Connector] = CONNECTORS,
    clock: Callable[[], float] = time.time,
    fetch: Fetcher | None = None,
    upstreams: Servers | None = None,
) -> Gate:
    """The application of one worker. Raises ConfigError unless `startup.prepare` has been done.

    `fetch` and `upstreams` stand in for the guarded ways out, in tests of a loopback server only.
    """
    settings = settings or load_settings(os.environ)
    if (fetch or upstreams) is not None and not settings.is_loopback:
        raise ConfigError("a public server fetches through its own guard only")
    logging.basicConfig(format=LOG_FORMAT, datefmt=LOG_TIME)
    logging.getLogger("postern").setLevel(settings.log_level.upper())
    state = create_state(settings, connectors, clock, fetch, upstreams)
    db = state.db
    bridge = Bridge(settings, Callers(db, clock).authenticate, state.toolbox, state.vault, db, clock, state.gateway.watches)
    return Gate(bridge, create_pages(state), Jobs(db, list_tasks(state), clock=clock), state.gateway, state.toolbox)


def create_state(
    settings: Settings,
    connectors: Mapping[str, Connector],
    clock: Callable[[], float],
    fetch: Fetcher | None,
    upstreams: Servers | None,
) -> web.State:
    """All that pages and bridge work with, each part given what it needs."""
    db = open_database(settings.database_url)
    check_current(db, MIGRATIONS)
    vault = open_vault(db, settings.master_key)
    fetch = fetch or Fetcher(settings.allow_private_upstreams, own_host=urlsplit(settings.public_url).hostname)
    custom, custom_problems = load_custom(settings.custom_dir, connectors)
    connectors = {**connectors, **custom}
    sign_ins = UpstreamOAuth(db, vault, fetch, settings, connectors, clock)
    gateway = open_gateway(db, vault, fetch, settings, sign_ins, clock, upstreams)
    return web.State(
        settings=settings,
        db=db,
        vault=vault,
        fetch=fetch,
        connectors=connectors,
        custom_problems=custom_problems,
        toolbox=open_toolbox(db, vault, fetch, connectors, clock, gateway, sign_ins),
        sign_ins=sign_ins,
        gateway=gateway,
        limits=Limits(db, clock),
        servers=KnownServers(HERE / "catalogue", settings.registry_url, fetch, ScopedCache(db, vault, "shared", clock)),
        documents=ClientDocuments(db, fetch, settings, clock),
        assertions=ClientAssertions(db, vault, fetch, audiences(settings), clock),
        clock=clock,
    )


def open_toolbox(
    db: Database,
    vault: Vault,
    fetch: Fetcher,
    connectors: Mapping[str, Connector],
    clock: Callable[[], float],
    gateway: Gateway,
    sign_ins: UpstreamOAuth,
) -> Toolbox:
    """What callers can use, with the ways to other servers and to what was signed in at."""
    return Toolbox(
        db,
        vault,
        fetch,
        connectors,
        clock,
        greet=gateway.upstreams.greet,
        find_sign_in=partial(get_tokens, sign_ins),
        forward=gateway.forwarding,
    )


def audiences(settings: Settings) -> frozenset[str]:
    """For whom a client assertion may be meant: us as the issuer, or our token endpoint (RFC 7523 §3)."""
    return frozenset({settings.public_url, settings.public_url + "/token"})


def create_pages(state: web.State) -> Flask:
    """The Flask application with every page."""
    pages = Flask("postern", root_path=str(HERE))
    pages.config.update(MAX_CONTENT_LENGTH=web.BODY_MAX, SEND_FILE_MAX_AGE_DEFAULT=HOUR)
    pages.url_map.merge_slashes = False  # its redirects would name the scheme that our proxy speaks with us, and repeat a POST
    pages.extensions["postern"] = state
    answers.install(pages)
    for blueprint in PAGES:
        pages.register_blueprint(blueprint)
    return pages


def list_tasks(state: web.State) -> list[Task]:
    """All periodic work: what the house needs, and what each connector does for its connections."""
    db = state.db
    tasks = [
        Task("look at other servers", MINUTE, state.gateway.discovery.look_at_old),
        Task("purge logins", HOUR, lambda now: purge_logins(db, now=now)),
        Task("purge authorization requests", HOUR, lambda now: purge_requests(db, now=now)),
        Task("purge clients", HOUR, lambda now: purge_clients(db, now=now)),
        Task("purge emulated documents", TEN_MINUTES, lambda now: purge_documents(db, now=now)),
        Task("purge assertions", HOUR, lambda now: purge_assertions(db, now=now)),
        Task("purge sessions", HOUR, lambda now: purge_sessions(db, now=now)),
        Task("purge visits to other servers", HOUR, lambda now: purge_visits(db, now=now)),
        Task("purge tokens", HOUR, lambda now: purge_tokens(db, now=now)),
        Task("purge API keys", HOUR, lambda now: purge_keys(db, now=now)),
        Task("purge limits", HOUR, lambda now: purge_rate_limits(db, now=now)),
        Task("purge continuations", HOUR, lambda now: purge_continuations(db, now=now)),
        Task("purge MCP sessions", HOUR, lambda now: purge_mcp_sessions(db, now=now)),
        Task("purge the sign-in log", HOUR, lambda now: purge_sign_ins(db, now=now)),
        Task("purge cache", HOUR, lambda now: purge_cache(db, now=now)),
        Task("remove folders of commands", HOUR, lambda now: remove_folders_of_none(db, state.settings, now)),
        Task("refresh the registry", 6 * HOUR, lambda _now: state.servers.refresh()),
        Task("purge personal context", DAY, lambda now: purge_personal_context(db, before=now - 90 * DAY)),
    ]
    for connector in state.connectors.values():
        for job in connector.jobs:
            name = f"{connector.name} {job.name}"
            each = for_each(
                name,
                lambda connector=connector: list_connections_of(db, connector.name),
                lambda connection, now, job=job: job.run(state.toolbox.context(connection, Call())),
            )
            tasks.append(Task(name, job.every_seconds, each))
    return tasks
