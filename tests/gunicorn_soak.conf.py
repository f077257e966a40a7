"""The project's own gunicorn.conf.py, but a transaction stays open a little longer, and SOAK_FLAG says when one is."""

import mmap
import os
import runpy
import time
from contextlib import contextmanager
from pathlib import Path

from db import Database

globals().update(runpy.run_path(str(Path(__file__).parent.parent / "gunicorn.conf.py")))

HOLD_SECONDS = 0.003
flag = mmap.mmap(os.open(os.environ["SOAK_FLAG"], os.O_RDWR), 1)
plain_write = Database.write


@contextmanager
def write_and_tell(self, **options):
    """Database.write. The flag is up only between BEGIN and COMMIT, so a process that dies with it up dies in between.

    One byte is enough: SQLite lets one writer in at a time.
    """
    with plain_write(self, **options) as run:
        flag[0] = 1
        try:
            yield run
            time.sleep(HOLD_SECONDS)
        finally:
            flag[0] = 0


Database.write = write_and_tell
