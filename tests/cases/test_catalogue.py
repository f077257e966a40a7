"""That no row of the catalogue is forgotten."""

from __future__ import annotations

import importlib
from pathlib import Path
from types import SimpleNamespace

import pytest

from cases.catalogue import ELSEWHERE, PUT_OFF, ROWS, case, forgotten, rows_of

MODULES = sorted(path.stem for path in Path(__file__).parent.glob("test_*.py") if path != Path(__file__))
TESTED = {row for name in MODULES for row in rows_of(importlib.import_module(f"cases.{name}"))}


def test_every_row_is_tested_or_put_off():
    assert forgotten(TESTED, set(PUT_OFF)) == set()


@pytest.mark.parametrize(("file", "test"), ELSEWHERE.values(), ids=list(ELSEWHERE))
def test_what_is_tested_elsewhere_is_there(file: str, test: str):
    assert f"\ndef {test}(" in (Path(__file__).parent.parent / f"{file}.py").read_text()


def test_at_most_ten_rows_are_put_off():
    assert len(PUT_OFF) <= 10


def test_no_row_is_invented():
    assert TESTED | set(PUT_OFF) <= {row for rows in ROWS.values() for row in rows.split()}


def test_a_forgotten_row_would_be_found():
    assert forgotten(TESTED - {"A-08"}, set(PUT_OFF)) == {"A-08"}


def test_rows_are_read_from_the_names_of_tests_and_of_their_parameters():
    def table() -> None:
        """A test with parameters."""

    marked = pytest.mark.parametrize("value", [case("Z-99", "words", 1)])(table)
    assert set(rows_of(SimpleNamespace(test_z98_alone=len, test_a_table=marked, helper=len))) == {"Z-98", "Z-99"}
