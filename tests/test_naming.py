"""naming.py: every name is plain and short, and nobody takes another's."""

from __future__ import annotations

import re

from hypothesis import given
from hypothesis import strategies as st

from naming import NAME_MAX, Claim, exposed_name, plain_name, settle_names

FITS = re.compile(r"[a-zA-Z0-9_-]{1,64}")


def settle(*claims: tuple[str, str, str, int], kind: str = "tool") -> list[str]:
    """The names of (connection, prefix, own name, since), in that order."""
    made = [Claim((connection, kind, name), prefix, since) for connection, prefix, name, since in claims]
    names = settle_names(made, kind)
    return [names[claim.key] for claim in made]


SOMEBODY = st.tuples(st.sampled_from("ab"), st.sampled_from(["", "work"]), st.text(max_size=90), st.integers(0, 3))


@given(st.lists(SOMEBODY, max_size=9))
def test_all_names_fit_every_assistant_and_are_different(claims: list[tuple[str, str, str, int]]):
    unique = list({claim[::2]: claim for claim in claims}.values())
    names = settle(*unique)
    assert all(FITS.fullmatch(name) for name in names)
    assert len(set(names)) == len({(claim[0], claim[2]) for claim in unique})


def test_a_plain_name_stays_and_other_letters_become_a_line():
    assert plain_name("a-b_C9__d") == "a-b_C9__d"
    assert plain_name("../my tool!") == "_my_tool_"
    assert plain_name("日本").startswith("unnamed_")
    assert plain_name("日本") != plain_name("日木")


def test_two_long_names_stay_apart():
    assert exposed_name("work", "x" * 80 + "1") != exposed_name("work", "x" * 80 + "2")
    assert len(exposed_name("work", "x" * 80)) == NAME_MAX


def test_who_was_there_first_keeps_a_name_whatever_is_listed_first():
    early, late = ("b", "work", "look", 5), ("a", "", "work_look", 6)
    assert settle(early, late)[0] == settle(late, early)[1] == "work_look"
    assert re.fullmatch(r"work_look_[0-9a-f]{8}", settle(early, late)[1])


def test_the_suffix_of_a_clash_is_stable_and_depends_on_the_connection():
    assert settle(("b", "", "x y", 1), ("a", "", "x_y", 1)) == settle(("b", "", "x y", 1), ("a", "", "x_y", 1))
    first, second = settle(("c", "", "x_y", 1), ("a", "", "x y", 2))[1], settle(("c", "", "x_y", 1), ("b", "", "x y", 2))[1]
    assert first != second


def test_nobody_has_the_name_that_a_clash_would_lead_to_as_well():
    first, second = ("a", "", "look", 1), ("b", "", "look", 2)
    led_to = settle(first, second)[1]
    names = settle(first, second, ("c", "", led_to, 0))
    assert (names[0], names[2], len(set(names))) == ("look", led_to, 3)


def test_a_name_that_is_plain_by_itself_comes_before_one_that_was_made_so():
    assert settle(("a", "", "x y", 1), ("a", "", "x_y", 1))[1] == "x_y"


def test_what_a_person_chose_comes_first():
    chosen = Claim(("b", "tool", "other"), "", 9, "look")
    names = settle_names([Claim(("a", "tool", "look"), "", 1), chosen], "tool")
    assert names[chosen.key] == "look"
    assert names["a", "tool", "look"].startswith("look_")


def test_search_and_fetch_are_nobodys_but_prompts_may_be_called_so():
    assert settle(("a", "", "search", 1), ("a", "", "fetch", 1)) == ["search_tool", "fetch_tool"]
    assert settle(("a", "github", "search", 1)) == ["github_search"]
    assert settle(("a", "", "search", 1), kind="prompt") == ["search"]
