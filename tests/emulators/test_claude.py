"""Claude: two programs, two addresses that refresh at once, a resource that must be what was typed, errors that must be exact."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from actors import Person
from house import House

from assistants import ASSISTANTS
from emulators.conftest import Installed

EGRESS = ("160.79.104.10", "160.79.104.11")
HOUR, DAY = 3600, 86400


def share(assistant: Installed, other: Installed) -> None:
    """Let another address know what this one knows."""
    other.client_id, other.tokens = assistant.client_id, dict(assistant.tokens)


def test_its_addresses_are_those_that_its_maker_documents():
    claude = ASSISTANTS["claude"]
    assert claude.document["client_id"] == "https://claude.ai/oauth/mcp-oauth-client-metadata"
    assert claude.document["token_endpoint_auth_method"] == "none"
    assert claude.redirect_uris == ("https://claude.ai/api/mcp/auth_callback",)
    assert claude.probes == ("Anthropic", "Anthropic/ClaudeAI")


@pytest.mark.parametrize("by", ["document", "registration"])
def test_both_of_its_programs_shake_hands_and_it_asks_for_a_refresh_token(
    owner: Person, arrive: Callable[..., Installed], by: str
):
    claude = arrive("claude", by=by)
    assert claude.scope() == "mcp offline_access"
    claude.sign_in(owner)
    assert claude.tokens["scope"] == "mcp offline_access"
    assert claude.open() == "2025-11-25"
    assert claude.list_tools() == "15 tools"


def test_it_takes_the_way_of_its_document_because_none_is_offered_beside_it(arrive: Callable[..., Installed]):
    server = arrive("claude").server
    assert server["client_id_metadata_document_supported"] is True
    assert "none" in server["token_endpoint_auth_methods_supported"]


@pytest.mark.parametrize("path", ["/mcp", "/mcp/home"])
def test_the_resource_is_exactly_what_was_typed_and_the_401_leads_to_it(
    owner: Person, arrive: Callable[..., Installed], path: str
):
    claude = arrive("claude", path=path)
    home = "http://localhost:8000"
    assert claude.challenge == f'Bearer resource_metadata="{home}/.well-known/oauth-protected-resource{path}", scope="mcp"'
    assert claude.resource["resource"] == home + path
    assert claude.resource["authorization_servers"] == [home]
    claude.sign_in(owner)
    assert claude.can_call()


def test_it_finds_the_endpoints_at_the_root_also_when_it_makes_them_up(arrive: Callable[..., Installed]):
    server = arrive("claude").server
    names = ("authorization_endpoint", "token_endpoint", "registration_endpoint")
    assert [server[name] for name in names] == [server["issuer"] + path for path in ("/authorize", "/token", "/register")]


def test_two_addresses_refresh_at_once_and_each_goes_on_with_its_own_sibling_for_a_day(
    house: House, owner: Person, arrive: Callable[..., Installed]
):
    left, right = (arrive("claude", address=address) for address in EGRESS)
    left.sign_in(owner)
    share(left, right)
    for _ in range(24):
        house.clock.forward(HOUR - 300)  # it refreshes up to five minutes before the end
        left.refresh()
        right.refresh()
        assert left.tokens["refresh_token"] != right.tokens["refresh_token"]
        assert left.can_call()
        assert right.can_call()
    assert house.db.query("SELECT count(*) AS n FROM sessions WHERE ended_at IS NULL")[0]["n"] == 1


def test_two_addresses_that_share_every_pair_refresh_at_once_for_a_day(
    house: House, owner: Person, arrive: Callable[..., Installed]
):
    left, right = (arrive("claude", address=address) for address in EGRESS)
    left.sign_in(owner)
    for _ in range(24):
        share(left, right)
        house.clock.forward(HOUR - 300)
        right.refresh()
        house.clock.forward(20)  # seconds later, with the same token: the first answer may have been lost
        left.refresh()
        assert left.can_call()
        assert right.can_call()


def test_a_token_that_is_over_is_told_apart_from_no_token(house: House, owner: Person, arrive: Callable[..., Installed]):
    claude = arrive("claude")
    claude.sign_in(owner)
    house.clock.forward(HOUR)
    refused = claude.call("tools/list")
    assert refused.status == 401
    assert refused.headers["WWW-Authenticate"].startswith(claude.challenge + ', error="invalid_token"')
    claude.refresh()
    assert claude.can_call()


def test_a_dead_refresh_token_is_an_invalid_grant(house: House, owner: Person, arrive: Callable[..., Installed]):
    claude = arrive("claude")
    claude.sign_in(owner)
    house.clock.forward(91 * DAY)
    refused = claude.trade(claude.tokens["refresh_token"])
    assert (refused.status, refused.json()["error"]) == (400, "invalid_grant")


def test_an_unknown_client_is_an_invalid_client_and_registers_again(owner: Person, arrive: Callable[..., Installed]):
    claude = arrive("claude", by="registration")
    claude.sign_in(owner)
    known, claude.client_id = claude.client_id, "client_forgotten"
    refused = claude.trade(claude.tokens["refresh_token"])
    assert (refused.status, refused.json()["error"]) == (401, "invalid_client")
    assert claude.register() != known
    claude.sign_in(owner)
    assert claude.can_call()


@pytest.mark.parametrize("by", ["document", "registration"])
def test_the_refused_ones_cost_nobody_the_session(owner: Person, arrive: Callable[..., Installed], by: str):
    claude = arrive("claude", by=by)
    claude.sign_in(owner)
    for wrong in ("mcp_rt_no_such_token", claude.tokens["access_token"]):
        refused = claude.trade(wrong)
        assert (refused.status, refused.json()["error"]) == (400, "invalid_grant")
    claude.refresh()
    assert claude.can_call()
