"""How gunicorn runs Postern: `gunicorn -c gunicorn.conf.py`. What a person can set is in config.py, not here."""

import ctypes
import importlib
import os
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))  # so that it can be started from any folder

import gate_worker
from config import load_settings
from errors import ConfigError, PosternError
from startup import prepare

PR_SET_DUMPABLE = 4  # prctl(2)


def hide_memory():
    """Keep this process's memory and environment from other processes of the same user, and out of core dumps (Linux only).

    MASTER_KEY is safer in `.env` or MASTER_KEY_FILE: if it came as an environment variable, /proc/PID/environ still holds it,
    readable by root, and by anybody of this user until this line has run.
    """
    prctl = getattr(ctypes.CDLL(None), "prctl", None)
    if prctl:
        prctl(PR_SET_DUMPABLE, 0, 0, 0, 0)


def refuse(error):
    """End with one line and no traceback, in the arbiter, where nothing would start it over."""
    sys.exit(f"Postern cannot start: {error}")


hide_memory()
os.umask(0o077)  # gunicorn's own `umask` is for its own files only
try:
    settings = load_settings(os.environ)
except ConfigError as problem:
    refuse(problem)

# --- what runs ---

wsgi_app = "app:create_app()"
worker_class = gate_worker.Worker
workers = settings.workers
threads = settings.threads
bind = f"[{settings.host}]:{settings.port}" if ":" in settings.host else f"{settings.host}:{settings.port}"
worker_connections = settings.threads + 500  # that wait or work; stays below the usual limit of 1024 open files
preload_app = False  # each worker opens its own database and starts its own threads; the code itself is shared: on_starting
worker_tmp_dir = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None  # noqa: S108 - a heartbeat file that no disk delays
control_socket_disable = True  # by default it would be a command socket under $HOME

# --- time ---

timeout = 30  # for a worker's event loop to show life, not for a request
graceful_timeout = 10
keepalive = 65  # longer than the usual idle time of a proxy, so that the proxy closes first; idle connections hold no thread

# --- what is let in ---

http_parser = "python"  # the C one is 10 % faster, and one more package that strangers' bytes go through
limit_request_line = 8190
limit_request_fields = 100
limit_request_field_size = 8190
header_map = "drop"  # X_Forwarded_For must not pass for X-Forwarded-For
forwarded_allow_ips = ""  # nobody may set scheme or SCRIPT_NAME: PUBLIC_URL says who we are; TRUST_PROXY is web.py's matter
forwarder_headers = ""

# --- what is logged ---

logger_class = gate_worker.Log
accesslog = "-"
errorlog = "-"
loglevel = "info" if settings.log_level == "debug" else settings.log_level  # gunicorn's own debug log helps nobody here

# --- hooks ---

greeting = []  # lines for the person who starts it


def on_starting(server):
    """Before the port is opened: database, key and owner. HUP does not come by here: a new version needs a restart."""
    try:
        greeting.extend(prepare(settings))
    except PosternError as error:
        refuse(error)
    importlib.import_module("app")  # once for all workers: they start in half the time, and share the memory that it takes


def when_ready(server):
    """The port is open: say where to go."""
    print(*greeting, sep="\n", flush=True)
    greeting.clear()  # the setup code with it


def post_fork(server, worker):
    """In each worker, before it loads the application."""
    hide_memory()
