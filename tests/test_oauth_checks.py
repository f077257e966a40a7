"""The checks of /authorize and /token, without a server. Over HTTP, row by row, they are attacked in tests/cases."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from crypto import s256
from errors import (
    InvalidGrant,
    InvalidRequest,
    InvalidScope,
    InvalidTarget,
    LoginRequired,
    UnsafeRedirect,
    UnsupportedResponseType,
)
from oauth_checks import (
    AUTHORIZE_CHECKS,
    CODE_CHECKS,
    REFRESH_CHECKS,
    TokenRequest,
    Visit,
    check_client,
    check_redirect,
    read_resource,
    read_scope,
)

MCP = "http://localhost:8000/mcp"
GOOD = {
    "response_type": ["code"],
    "code_challenge": [s256("x" * 43)],
    "code_challenge_method": ["S256"],
    "state": ["a state"],
}
CODE = SimpleNamespace(
    session_alive=True, expires_at=100, used=False, redirect_uri="https://a.example/", code_challenge=s256("v" * 43), resource=MCP
)
REFRESH = SimpleNamespace(session_alive=True, scope="mcp", expires_at=100, resource=MCP)


def visit(settings, **params: list[str]) -> Visit:
    """A visit whose client is known already."""
    return Visit(None, settings, None, lambda: None, GOOD | params, SimpleNamespace(redirect_uris=()), "https://a.example/")


def run(checks, *given: object) -> None:
    """All of them, in their order, but for those that need a database."""
    for check in checks:
        if check not in (check_client, check_redirect):
            check(*given)


# --- authorize ---


def test_a_good_visit_is_filled_in(settings):
    wanted = visit(settings)
    run(AUTHORIZE_CHECKS, wanted)
    assert (wanted.state, wanted.scope, wanted.resource, wanted.code_challenge) == ("a state", "mcp", MCP, s256("x" * 43))


@pytest.mark.parametrize(
    ("params", "error"),
    [
        ({"client_id": ["a", "b"]}, UnsafeRedirect),
        ({"redirect_uri": ["a", "a"]}, UnsafeRedirect),
        ({"scope": ["mcp", "mcp"]}, InvalidRequest),
        ({"state": ["x" * 4097]}, InvalidRequest),
        ({"response_type": [""]}, InvalidRequest),
        ({"response_type": ["token"]}, UnsupportedResponseType),
        ({"response_mode": ["fragment"]}, InvalidRequest),
        ({"prompt": ["none"]}, LoginRequired),
        ({"code_challenge_method": ["plain"]}, InvalidRequest),
        ({"code_challenge": [""]}, InvalidRequest),
        ({"scope": ["a\tb"]}, InvalidScope),
        ({"resource": ["https://other.example/mcp"]}, InvalidTarget),
    ],
)
def test_a_bad_visit_is_refused(settings, params, error):
    with pytest.raises(error) as refusal:
        run(AUTHORIZE_CHECKS, visit(settings, **params))
    assert refusal.value.may_redirect is (error is not UnsafeRedirect)


def test_who_may_be_redirected_to_is_settled_before_anything_may_redirect():
    names = [check.__name__ for check in AUTHORIZE_CHECKS]
    assert names[:4] == ["check_identity_once", "check_client", "check_redirect", "check_parameters_once"]


def test_the_state_is_known_before_any_other_mistake_is_told(settings):
    wanted = visit(settings, scope=["a", "b"])
    with pytest.raises(InvalidRequest):
        run(AUTHORIZE_CHECKS, wanted)
    assert wanted.state == "a state"


@pytest.mark.parametrize(
    ("scope", "read"),
    [(None, "mcp"), ("", "mcp"), ("mcp", "mcp"), ("x y", "mcp"), ("offline_access", "mcp offline_access"), ("mcp  mcp", "mcp")],
)
def test_a_scope_is_reduced_to_what_we_know(scope, read):
    assert read_scope(scope) == read


@pytest.mark.parametrize("scope", ["a\tb", '"', "\\", "ü", "a\x7f", " ".join("x" * 101)])
def test_a_malformed_scope_is_refused(scope):
    with pytest.raises(InvalidScope):
        read_scope(scope)


@pytest.mark.parametrize(
    ("resource", "read"),
    [(None, MCP), (MCP, MCP), (MCP + "/", MCP), ("HTTP://LocalHost:8000/mcp", MCP), (MCP + "/home", MCP + "/home")],
)
def test_a_resource_is_read_as_our_own_name_of_it(settings, resource, read):
    assert read_resource(resource, settings) == read


@pytest.mark.parametrize(
    "resource",
    [
        "", "/mcp", "mcp", MCP + "#", MCP + "?", MCP + "//", MCP + "/Home", MCP + "/a/b", MCP + "x", MCP + ";x", MCP + "/%68ome",
        "https://localhost:8000/mcp", "http://localhost/mcp", "http://localhost:8000", "http://u@localhost:8000/mcp", " " + MCP,
        MCP + "\n", "http://localhost:8000/m\ncp", "http://[::1/mcp", "http://localhost:8000/mcp\u200b",
    ],
)  # fmt: skip
def test_what_is_not_ours_is_no_resource(settings, resource):
    with pytest.raises(InvalidTarget):
        read_resource(resource, settings)


# --- token ---


@pytest.mark.parametrize(
    ("change", "form", "now", "error"),
    [
        ({}, {"code_verifier": "v" * 43}, 99, None),
        ({}, {"code_verifier": "v" * 43, "redirect_uri": "https://a.example/", "resource": MCP + "/"}, 99, None),
        ({"used": True}, {"code_verifier": "v" * 43}, 1000, None),  # goes on, to be recognised as a replay
        ({}, {"code_verifier": "v" * 43}, 100, InvalidGrant),
        ({"session_alive": False}, {"code_verifier": "v" * 43}, 99, InvalidGrant),
        ({"session_alive": False, "used": True}, {"code_verifier": "v" * 43}, 99, InvalidGrant),
        ({}, {}, 99, InvalidGrant),
        ({}, {"code_verifier": "v" * 42}, 99, InvalidGrant),
        ({}, {"code_verifier": "w" * 43}, 99, InvalidGrant),
        ({"used": True}, {"code_verifier": "w" * 43}, 99, InvalidGrant),
        ({}, {"code_verifier": "v" * 43, "redirect_uri": "https://b.example/"}, 99, InvalidGrant),
        ({}, {"code_verifier": "v" * 43, "resource": MCP + "/home"}, 99, InvalidTarget),
    ],
)
def test_what_a_code_is_checked_for(settings, change, form, now, error):
    given = SimpleNamespace(**(vars(CODE) | change)), TokenRequest(form, settings, now)
    if error is None:
        run(CODE_CHECKS, *given)
    else:
        with pytest.raises(error):
            run(CODE_CHECKS, *given)


@pytest.mark.parametrize(
    ("change", "form", "now", "error"),
    [
        ({}, {}, 99, None),
        ({}, {"scope": "mcp", "resource": MCP}, 99, None),
        ({}, {}, 100, InvalidGrant),
        ({"session_alive": False}, {}, 99, InvalidGrant),
        ({}, {"scope": "mcp admin"}, 99, InvalidScope),
        ({}, {"resource": "https://other.example/"}, 99, InvalidTarget),
        ({}, {"resource": MCP + "/home"}, 99, InvalidTarget),
    ],
)
def test_what_a_refresh_token_is_checked_for(settings, change, form, now, error):
    given = SimpleNamespace(**(vars(REFRESH) | change)), TokenRequest(form, settings, now)
    if error is None:
        run(REFRESH_CHECKS, *given)
    else:
        with pytest.raises(error):
            run(REFRESH_CHECKS, *given)
