"""Metadata: what a client reads before anything else (RFC 8414, RFC 9728)."""

from __future__ import annotations

import sys
from pathlib import Path
from urllib.parse import quote

import pytest
import requests
from actors import Assistant, Person
from server import MASTER_KEY, ROOT, Server, base_environ, free_port, start

from cases.catalogue import case
from config import load_settings
from errors import ConfigError

pytestmark = pytest.mark.server

AS_PATHS = ("/.well-known/oauth-authorization-server", "/.well-known/openid-configuration")
COMMAND = [sys.executable, "-m", "gunicorn", "-c", str(ROOT / "gunicorn.conf.py")]
KEY = {"MASTER_KEY": MASTER_KEY}
PRM_PATHS = ("/.well-known/oauth-protected-resource", "/.well-known/oauth-protected-resource/mcp")


@pytest.fixture(scope="module")
def metadata(server: Server) -> dict:
    return requests.get(server.url + AS_PATHS[0], timeout=10).json()


@pytest.mark.parametrize("path", [case("M-01", path, path) for path in AS_PATHS])
def test_both_addresses_have_the_same_document(server: Server, metadata: dict, path: str):
    answer = requests.get(server.url + path, timeout=10)
    assert (answer.status_code, answer.headers["Content-Type"]) == (200, "application/json")
    assert answer.json() == metadata


@pytest.mark.parametrize(
    "url", [case("M-02", url, url) for url in ("https://postern.example/sub", "http://localhost:8000/a/b", "https://a.example/?x")]
)
def test_an_issuer_with_a_path_is_refused_before_anything_is_served(url: str):
    with pytest.raises(ConfigError, match="PUBLIC_URL: must look like"):
        load_settings(KEY | {"PUBLIC_URL": url}, dotenv=None)


def test_m02_the_boot_says_so_in_one_line(tmp_path: Path):
    environ = base_environ(tmp_path) | {"PUBLIC_URL": "https://postern.example/sub", "PORT": str(free_port())}
    process = start(tmp_path, COMMAND, environ)
    assert process.wait(20) == 1
    lines = (tmp_path / "server.log").read_text().splitlines()
    assert [line for line in lines if line.startswith("Postern cannot start: PUBLIC_URL")] == lines


def test_m03_the_issuer_is_the_public_url_to_the_byte(server: Server, metadata: dict):
    assert metadata["issuer"] == server.url


def test_m03_a_slash_at_the_end_of_the_setting_is_not_part_of_it():
    assert load_settings(KEY | {"PUBLIC_URL": "https://P.example/"}, dotenv=None).public_url == "https://p.example"


def test_m04_only_s256_is_offered(metadata: dict):
    assert metadata["code_challenge_methods_supported"] == ["S256"]


def test_m05_iss_is_announced(metadata: dict):
    assert metadata["authorization_response_iss_parameter_supported"] is True


def test_m06_client_id_metadata_documents_are_announced(metadata: dict):
    assert metadata["client_id_metadata_document_supported"] is True
    assert "private_key_jwt" in metadata["token_endpoint_auth_methods_supported"]
    assert metadata["token_endpoint_auth_signing_alg_values_supported"] == ["RS256", "ES256"]


@pytest.mark.parametrize("name", [case("M-09", name, name) for name in ("token", "revocation", "introspection")])
def test_where_a_client_may_sign_it_is_said_how(metadata: dict, name: str):
    """RFC 8414 §2: this must be there where private_key_jwt is."""
    assert "private_key_jwt" in metadata[f"{name}_endpoint_auth_methods_supported"]
    assert metadata[f"{name}_endpoint_auth_signing_alg_values_supported"] == ["RS256", "ES256"]


def test_m07_public_clients_are_welcome(metadata: dict):
    assert "none" in metadata["token_endpoint_auth_methods_supported"]


ENDPOINTS = [f"{name}_endpoint" for name in ("authorization", "token", "registration", "revocation", "introspection")]


@pytest.mark.parametrize("name", [case("M-09", name, name) for name in ENDPOINTS])
def test_every_endpoint_that_is_announced_is_there(server: Server, metadata: dict, name: str):
    assert {key for key in metadata if key.endswith(("_endpoint", "_uri"))} == set(ENDPOINTS)
    assert metadata[name].startswith(server.url + "/")
    assert requests.get(metadata[name], timeout=10).status_code in (400, 405)


def test_m10_the_resource_is_the_url_that_people_paste(server: Server):
    document = requests.get(server.url + PRM_PATHS[1], timeout=10).json()
    assert document["resource"] == server.url + "/mcp"
    assert document["authorization_servers"] == [server.url]
    assert document["bearer_methods_supported"] == ["header"]


def test_m10_a_profile_has_its_own(server: Server, alice: Person):
    path = PRM_PATHS[1] + "/home"
    assert requests.get(server.url + path, timeout=10).json()["resource"] == server.url + "/mcp/home"
    assert alice.session.get(server.url + path, timeout=10).json()["resource"] == server.url + "/mcp/home"


@pytest.mark.parametrize("slug", [case("M-10", slug, slug) for slug in ("HOME", "a" * 41, "-home", "%2e%2e", "a/b", "x%22y")])
def test_what_cannot_be_an_address_has_none(server: Server, slug: str):
    assert requests.get(f"{server.url}{PRM_PATHS[1]}/{slug}", timeout=10).status_code == 404


def test_m11_the_root_has_the_same_document(server: Server):
    root, path = (requests.get(server.url + path, timeout=10).json() for path in PRM_PATHS)
    assert root == path


def test_m13_the_resource_asks_for_no_more_than_it_needs(server: Server):
    assert requests.get(server.url + PRM_PATHS[1], timeout=10).json()["scopes_supported"] == ["mcp"]


@pytest.mark.parametrize("name", [case("M-14", name, name) for name in ("AUTH", "NO_AUTH", "DISABLE_AUTH", "AUTH_ENABLED")])
def test_no_setting_switches_authorization_off(name: str):
    assert load_settings(KEY | {name: "off"}, dotenv=None) == load_settings(KEY, dotenv=None)


@pytest.mark.parametrize("path", [case("M-20", path, path) for path in AS_PATHS + PRM_PATHS])
def test_any_page_may_read_it_but_without_cookies(server: Server, path: str):
    answer = requests.get(server.url + path, headers={"Origin": "https://inspector.example"}, timeout=10)
    assert answer.headers["Access-Control-Allow-Origin"] == "*"
    assert "Access-Control-Allow-Credentials" not in answer.headers


def test_m03_iss_in_an_answer_is_the_issuer_to_the_byte(server: Server, alice: Person, metadata: dict):
    callback = alice.decide(Assistant(server.url).authorize_url(), "deny")
    assert callback.endswith("&iss=" + quote(metadata["issuer"], safe=""))


@pytest.mark.parametrize("name", ["mcp-config", "mcp-configuration", "mcp-server"])
def test_who_looks_for_an_mcp_server_is_told_where_it_is_and_how_to_get_in(server: Server, metadata: dict, name: str):
    answer = requests.get(f"{server.url}/.well-known/{name}", timeout=10)
    assert (answer.status_code, answer.headers["Content-Type"]) == (200, "application/json")
    document = answer.json()
    assert document["mcp_endpoint"] == server.url + "/mcp"
    assert document["capabilities"] == {"authentication": ["oauth2", "api_key"], "transports": ["streamable-http"]}
    resource = requests.get(document["protected_resource_metadata"], timeout=10).json()
    assert resource["resource"] == document["mcp_endpoint"]
    assert requests.get(document["authorization_server_metadata"], timeout=10).json() == metadata
