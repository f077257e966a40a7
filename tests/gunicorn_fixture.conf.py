"""The project's own gunicorn.conf.py, but for an application that also has the connectors of TEST_CONNECTORS."""

import runpy
from pathlib import Path

globals().update(runpy.run_path(str(Path(__file__).parent.parent / "gunicorn.conf.py")))
wsgi_app = "server:app_with_test_connectors()"
