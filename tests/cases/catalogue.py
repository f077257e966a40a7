"""The rows of the catalogue, and which of them wait for something that is not built yet. Holds no test."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest

ROWS = {
    "new clients": (
        "R-01 R-02 R-03 R-04 R-05 R-06 R-07 R-08 R-09 R-10 R-11 R-12 R-13 R-14 R-15 R-16 R-17 R-20 R-21 R-22 R-23 R-24"
    ),
    "registration": "R-25 R-27 R-29 R-30",
    "metadata": "M-01 M-02 M-03 M-04 M-05 M-06 M-07 M-09 M-10 M-11 M-13 M-14 M-20",
    "authorize": (
        "A-01 A-02 A-03 A-04 A-05 A-06 A-08 A-10 A-11 A-12 A-13 A-14 A-15 A-16 A-17 A-18 A-19 A-20 A-21 A-24 A-25 A-30 A-31 A-32"
    ),
    "redirect_uri": "U-01 U-02 U-03 U-05 U-07 U-08 U-09 U-12 U-14 U-15 U-17 U-18 U-19 U-20",
    "pkce": "P-01 P-02 P-04 P-05 P-06 P-07 P-08 P-09 P-11",
    "token": (
        "T-01 T-02 T-04 T-06 T-07 T-10 T-11 T-12 T-13 T-14 T-15 T-17 T-18 T-20 T-21 T-24 T-30 T-31 T-32 "
        "T-40 T-41 T-42 T-43 T-44 T-45 T-46 T-47 T-48"
    ),
    "refresh": "F-01 F-02 F-03 F-05 F-08 F-09 F-10 F-11 F-13 F-14",
    "bearer": "B-01 B-02 B-03 B-04 B-06 B-08 B-09 B-10 B-11 B-13 B-14 B-15 B-16 B-17 B-18",
    "mcp": (
        "E-01 E-02 E-03 E-05 E-06 E-07 E-10 E-11 E-12 E-20 E-21 E-22 E-23 E-24 E-27 E-28 E-30 E-31 E-32 E-33 E-34 E-35 E-36 "
        "E-40 E-41 E-42 E-43 E-45 E-46"
    ),
    "browser": "W-01 W-02 W-03 W-04 W-05 W-06 W-07 W-08 W-09 W-10 W-11 W-13 W-14 W-15 W-18 W-19 W-20",
    "anonymous urls": "S-01 S-02 S-03 S-05 S-06 S-07 S-08 S-09 S-10 S-11 S-12 S-13 S-14 S-15 S-16 S-17",
    "revocation": "V-01 V-02 V-04 V-05 V-07 V-09 V-10 V-11 V-12",
    "consent": "K-01 K-03 K-04 K-05 K-07 K-08 K-09 K-10 K-11 K-12 K-13",
    "commands and servers": "C-02 C-03 C-04",
    "upstream oauth": "O-01 O-02 O-03 O-04 O-05 O-06 O-07 O-08 O-09 O-10 O-11 S-20 S-21",
    "gateway features": "G-04 G-05 G-06 G-07 G-11 G-12 G-13 G-14 G-16",
    "upstream urls": "S-22 S-23 S-25 S-26 G-01 G-03 G-08 G-09 G-10",
    "proxy": "H-01 H-02 H-03 H-04 H-05 H-07",
    "stdio": "C-01 C-02 C-05 C-06 C-07 C-09 C-10 C-12 C-13 C-14",
    "untrusted text": "X-01 X-02 X-03 X-04 X-06 X-07 X-08 X-09",
}

# A row, or the part of it that is named, and what it waits for. At most ten.
PUT_OFF: dict[str, str] = {}

# A row that a file outside this folder tests, and the test there.
ELSEWHERE = {
    "C-02": ("test_definitions", "test_a_value_does_not_become_an_option"),
    "W-07": ("test_browser", "test_both_buttons_take_the_browser_to_the_assistant"),
    "H-07": ("test_routes", "test_a_stranger_can_open_what_is_on_the_list_and_nothing_else"),
    "X-04": ("test_canary", "test_no_secret_is_left_anywhere"),
    "X-09": ("test_gate_worker", "test_it_logs_a_request_without_its_query_and_headers"),
    "O-08": ("test_upstream_tokens", "test_two_workers_refresh_once"),
    "S-05": ("test_fetch", "test_it_looks_up_once_and_dials_what_it_vetted"),
    "S-06": ("test_fetch", "test_it_follows_no_redirect"),
    "S-07": ("test_fetch", "test_an_answer_that_only_drips_ends_at_the_deadline"),
    "S-09": ("test_fetch", "test_it_refuses_a_certificate_that_does_not_prove_the_name"),
}


def case(row: str, words: str, *values: Any) -> Any:
    """One input of a row, for `parametrize`; its id begins with the row's."""
    return pytest.param(*values, id=f"{row} {words}")


def rows_of(module: Any) -> Iterator[str]:
    """The rows that a module tests: named by its parameters (`A-08 two scopes`) or by its tests (`test_a21_…`)."""
    for name, function in vars(module).items():
        if not name.startswith("test_"):
            continue
        if match := re.match(r"test_([a-z])(\d\d)_", name):
            yield f"{match[1].upper()}-{match[2]}"
        for mark in getattr(function, "pytestmark", ()):
            if mark.name == "parametrize":
                names = (str(parameter.id) for parameter in mark.args[1] if hasattr(parameter, "id"))
                yield from (match[0] for match in (re.match(r"[A-Z]-\d\d", name) for name in names) if match)


def forgotten(tested: set[str], put_off: set[str]) -> set[str]:
    """The rows that nobody tests, here or elsewhere, and nobody has put off."""
    return {row for rows in ROWS.values() for row in rows.split()} - tested - put_off - set(ELSEWHERE)
