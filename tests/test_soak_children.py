"""Nothing is left of commands that crash, hang, flood and fork: a few sessions every day, many for `make soak`."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from test_soak import keep_report

FEW, MANY = 20, 2000


@pytest.mark.parametrize("sessions", [FEW, pytest.param(MANY, marks=pytest.mark.soak)])
def test_many_sessions_leave_nothing_behind(tmp_path: Path, sessions: int):
    script = Path(__file__).parent / "child_soak.py"
    done = subprocess.run([sys.executable, str(script), str(sessions), str(tmp_path)], stdout=subprocess.PIPE, check=True)
    found = json.loads(done.stdout)
    assert (found["sessions"], sum(found["how they ended"].values())) == (sessions, sessions)
    assert (found["processes left"], found["descriptors left"], found["threads left"]) == (0, 0, 0)
    if sessions == MANY:
        keep_report("children", found)
        assert found["growth in percent"] < 5
