"""How random lives are led and looked at (test_machine.py, test_key_machine.py). Knows neither token nor key."""

from __future__ import annotations

import inspect
import textwrap
from collections import Counter
from collections.abc import Callable, Iterable

from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, run_state_machine_as_test

from db import Database

RUNS, STEPS, STEPS_MIN = 210, 40, 30  # of which 200 are to have 30 steps: some end early, where nothing can be done
PICK = st.integers(0, 1000)
WHO = st.sampled_from(["alice", "bob"])


def live(make_life: Callable[[Counter[str]], RuleBasedStateMachine], runs: int = RUNS) -> Counter[str]:
    """Let lives take place, the same in every run of the tests; answers what happened in all of them together.

    A life counts what it does in the tally that it is made with. Raises AssertionError with the promise that was broken.
    """
    tally: Counter[str] = Counter()
    bounds = settings(
        max_examples=runs,
        stateful_step_count=STEPS,
        deadline=None,
        database=None,
        derandomize=True,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    run_state_machine_as_test(lambda: make_life(tally), settings=bounds, _min_steps=STEPS_MIN)
    return tally


def check_lively(tally: Counter[str], wanted: Iterable[str], runs: int = RUNS) -> None:
    """That enough has happened, good and bad."""
    assert tally["runs of 30 steps"] >= runs * 200 // RUNS, tally
    assert [name for name in wanted if not tally[name]] == [], tally


def hurry(db: Database) -> None:
    """Let a database of this thread not wait for its disk: no life loses power."""
    db._connection().execute("PRAGMA synchronous = OFF")


def mutate(function: Callable[..., object], old: str, new: str) -> Callable[..., object]:
    """A function as if somebody had written `new` where `old` stands in its source."""
    source = textwrap.dedent(inspect.getsource(function))
    assert source.count(old) == 1, source
    scope = dict(inspect.getmodule(function).__dict__)
    exec(compile(source.replace(old, new), "<mutated>", "exec"), scope)
    return scope[function.__name__]
