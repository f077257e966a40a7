"""The project's own gunicorn.conf.py, but for an application whose only connector is the bench's."""

import runpy
from pathlib import Path

globals().update(runpy.run_path(str(Path(__file__).parent.parent / "gunicorn.conf.py")))
wsgi_app = "bench_connector:make_app()"
