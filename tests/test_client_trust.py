"""Who may be a client and where its codes may go. Rows R-… of the catalogue of attacks are named in the ids."""

from __future__ import annotations

import dataclasses
from urllib.parse import urlsplit

import pytest
from conftest import MASTER_KEY
from hypothesis import given
from hypothesis import strategies as st
from werkzeug.urls import iri_to_uri

from client_trust import (
    add_parameters,
    check_redirect_uri,
    check_registration,
    describe_redirect,
    matches_redirect,
    read_credentials,
)
from config import load_settings
from errors import InvalidClient, InvalidClientMetadata, InvalidRedirectUri, InvalidRequest

CURSOR = "cursor://anysphere.cursor-mcp/oauth/callback"
SETTINGS = load_settings({"MASTER_KEY": MASTER_KEY}, dotenv=None)
PUBLIC = {"redirect_uris": ["http://127.0.0.1/"], "token_endpoint_auth_method": "none"}


def row(name: str, *values: object):
    """One input of a row."""
    return pytest.param(*values, id=name)


# --- redirect URIs ---


@pytest.mark.parametrize(
    "uri",
    [
        "https://claude.ai/api/mcp/auth_callback",
        "https://chatgpt.com/connector_platform_oauth_redirect",
        "https://vscode.dev/redirect",
        "https://client.example:8443/cb?a=b%20c",
        "https://xn--bcher-kva.example/cb",
        "http://127.0.0.1/",
        "http://127.0.0.1:33418/",
        "http://localhost:8787/callback",
        "http://[::1]:3000/callback",
        "http://127.0.0.1?x",
        CURSOR,
    ],
)
def test_these_may_be_registered(settings, uri):
    check_redirect_uri(uri, settings)


SCHEMES = ("javascript:alert(1)", "data:text/html,x", "vbscript:x", "file:///etc/passwd", "blob:https://x/y", "about:blank")


@pytest.mark.parametrize(
    "uri",
    [
        *(row(f"R-07 {uri}", uri) for uri in (*SCHEMES, "view-source:https://x.example/", "ftp://x.example/", "ws://x.example/")),
        *(row(f"R-07 {uri}", uri) for uri in ("javascript://x.example/%0aalert(1)", "com.example.app:/cb", "myapp://callback")),
        row("R-07 a scheme in upper case", "HTTPS://client.example/cb"),
        row("R-07 Cursor's, but longer", CURSOR + "/x"),
        row("R-09 a fragment", "https://client.example/cb#x"),
        row("R-09 an empty fragment", "https://client.example/cb#"),
        row("R-09 relative", "/callback"),
        row("R-09 without a scheme", "//client.example/cb"),
        row("R-09 http elsewhere", "http://client.example/cb"),
        row("R-09 http at an address that begins alike", "http://127.0.0.1.evil.example/"),
        row("R-09 http at 0.0.0.0", "http://0.0.0.0/"),
        row("R-09 http at 127.1", "http://127.1/"),
        row("R-09 no host", "https:///cb"),
        row("R-10 a user name", "https://user@client.example/cb"),
        row("R-10 a user name on loopback", "http://x@127.0.0.1/"),
        row("R-10 a wildcard", "https://*.example/cb"),
        row("R-10 an IPv6 address that is none", "https://[::::]/cb"),
        row("R-10 brackets around IPv4", "https://[127.0.0.1]/cb"),
        row("R-10 an open bracket", "cursor://[x/"),
        row("R-10 a closing bracket", "cursor://x]/"),
        row("R-10 an empty label", "https://client..example/cb"),
        row("R-10 a label that is too long", f"https://{'a' * 64}.example/cb"),
        row("R-10 a dash at the end of a label", "https://client-.example/cb"),
        row("R-10 a number for an address", "https://2130706433/cb"),
        row("R-10 half an address", "https://127.1/cb"),
        row("R-10 a hexadecimal address", "https://0x7f.0.0.0x1/cb"),
        row("R-10 a leading zero", "https://127.0.0.01/cb"),
        row("R-10 CR LF", "https://client.example/cb\r\nX: y"),
        row("R-10 a tab", "https://client.example/\tcb"),
        row("R-10 a blank", "https://client.example/c b"),
        row("R-10 a backslash", "https://client.example\\@evil.example/"),
        row("R-10 a homograph", "https://cl\u0456ent.example/cb"),
        row("R-10 an escaped NUL", "https://client.example/%00"),
        row("R-10 an escaped line break", "https://client.example/%0d%0a"),
        row("R-10 an escaped backslash", "https://client.example/%5C"),
        row("R-10 half an escape", "https://client.example/%4"),
        row("R-10 a quote", 'https://client.example/"'),
        row("R-10 an angle bracket", "https://client.example/<x>"),
        row("R-10 port 0", "https://client.example:0/cb"),
        row("R-10 port 65536", "https://client.example:65536/cb"),
        row("R-10 an empty port", "https://client.example:/cb"),
        row("R-10 dots", "https://client.example/x/../cb"),
        row("R-10 escaped dots", "https://client.example/x/%2e%2E/cb"),
        row("R-11 2049 letters", "https://client.example/" + "x" * (2049 - 23)),
        row("R-03 empty", ""),
        row("R-03 no string", 1),
        row("R-03 null", None),
        *(row(f"U-20 {name}", f"https://client.example/cb?a=b&{name}=x") for name in ("code", "state", "iss", "error")),
    ],
)
def test_these_may_not_be_registered(settings, uri):
    with pytest.raises(InvalidRedirectUri):
        check_redirect_uri(uri, settings)


START = st.sampled_from(["https://", "http://localhost", "https://[", "cursor://", "https://a.example", ""])


@given(START, st.text("ahx:/[].%#?&=@-019 ", max_size=20))
def test_what_may_be_registered_can_be_sent_to_and_anything_else_is_refused(start: str, rest: str):
    try:
        check_redirect_uri(start + rest, SETTINGS)
    except InvalidRedirectUri:
        return
    assert urlsplit(iri_to_uri(start + rest)).hostname  # what a Location header goes through


@pytest.mark.parametrize(
    ("mode", "entries", "accepted", "refused"),
    [
        ("exact", ("https://a.example/cb",), "https://a.example/cb", "https://a.example/cb2"),
        ("exact", ("http://127.0.0.1/cb",), "http://127.0.0.1:5/cb", "http://localhost/cb"),
        ("prefix", ("https://a.example/x",), "https://a.example/x/y", "https://a.example/xy"),
        ("host", ("a.example", "https://b.example/cb"), "https://b.example/any", "https://evil.a.example/"),
        ("exact", ("myapp://callback", "https://a.example/"), "myapp://callback", CURSOR),
    ],
)
def test_a_list_of_the_server_narrows_them(settings, mode, entries, accepted, refused):
    narrow = dataclasses.replace(settings, redirect_uri_allowlist=entries, redirect_uri_allowlist_mode=mode)
    check_redirect_uri(accepted, narrow)
    with pytest.raises(InvalidRedirectUri):
        check_redirect_uri(refused, narrow)


@pytest.mark.parametrize(
    ("registered", "requested", "matches"),
    [
        ("https://a.example/cb", "https://a.example/cb", True),
        ("https://a.example/cb", "https://a.example:443/cb", False),
        ("https://a.example/cb", "https://a.example/cb?", False),
        ("https://a.example/cb", "https://A.example/cb", False),
        ("http://127.0.0.1:3000/cb", "http://127.0.0.1:65535/cb", True),
        ("http://127.0.0.1:3000/cb", "http://127.0.0.1/cb", True),
        ("http://127.0.0.1/cb", "http://127.0.0.1:1/cb", True),
        ("http://[::1]/cb", "http://[::1]:8080/cb", True),
        ("http://localhost", "http://localhost:99", True),
        ("http://localhost", "http://localhost/", False),
        ("http://localhost?x", "http://localhost:1?x", True),
        ("http://127.0.0.1/cb", "http://127.0.0.1:0/cb", False),
        ("http://127.0.0.1/cb", "http://127.0.0.1:65536/cb", False),
        ("http://127.0.0.1/cb", "http://127.0.0.1:１/cb", False),
        ("http://127.0.0.1/cb", "http://127.0.0.1:/cb", False),
        ("http://127.0.0.1/cb", "http://localhost/cb", False),
        ("http://127.0.0.1/cb", "https://127.0.0.1/cb", False),
        ("http://127.0.0.1/cb", "http://127.0.0.1:1/cb2", False),
        ("http://127.0.0.1/cb", "http://127.0.0.1:1/cb\n", False),
        ("http://127.0.0.1/", "http://127.0.0.1:1@evil.example/", False),
        (CURSOR, CURSOR.upper(), False),
    ],
)
def test_only_the_port_of_loopback_may_differ(registered, requested, matches):
    assert matches_redirect(registered, requested) is matches


def test_parameters_of_the_answer_come_behind_what_is_there():
    assert add_parameters("https://a.example/cb", code="x y", state=None) == "https://a.example/cb?code=x+y"
    assert add_parameters("https://a.example/cb?a=b", code="x", state="&=\r\n") == (
        "https://a.example/cb?a=b&code=x&state=%26%3D%0D%0A"
    )


@pytest.mark.parametrize(
    ("uri", "shown"),
    [
        ("https://a.example:8443/cb", ("a.example:8443", False)),
        ("http://127.0.0.1:3000/cb", ("127.0.0.1:3000", True)),
        (CURSOR, ("the app behind cursor://", False)),
    ],
)
def test_a_person_is_shown_where_a_code_will_go(uri, shown):
    assert describe_redirect(uri) == shown


# --- registration ---


@pytest.mark.parametrize(
    "uris",
    [
        row("R-05 Cursor", [CURSOR, "https://www.cursor.com/agents/mcp/oauth/callback", "http://localhost:8787/callback"]),
        row(
            "R-06 VS Code",
            ["https://vscode.dev/redirect", "https://insiders.vscode.dev/redirect", "http://127.0.0.1/", "http://127.0.0.1:33418/"],
        ),
        row("R-11 50 of them", [f"https://client.example/{number}" for number in range(50)]),
    ],
)
def test_real_clients_are_let_in(settings, uris):
    assert check_registration(PUBLIC | {"redirect_uris": uris}, settings)["redirect_uris"] == uris


@pytest.mark.parametrize(
    "uris",
    [
        row("R-03 missing", None),
        row("R-03 empty", []),
        row("R-03 a string", "https://a.example/"),
        row("R-03 an object", {"0": "https://a.example/"}),
        row("R-04 one is bad", ["https://a.example/", "javascript:x"]),
        row("R-11 51 of them", [f"https://client.example/{number}" for number in range(51)]),
    ],
)
def test_bad_redirect_uris_spoil_the_whole(settings, uris):
    with pytest.raises(InvalidRedirectUri):
        check_registration(PUBLIC | {"redirect_uris": uris}, settings)


@pytest.mark.parametrize(
    "change",
    [
        *(row(f"R-12 {grant}", {"grant_types": [grant]}) for grant in ("implicit", "password", "client_credentials")),
        row("R-12 implicit too", {"grant_types": ["authorization_code", "implicit"]}),
        row("R-12 a string", {"grant_types": "authorization_code"}),
        row("R-12 token", {"response_types": ["token"]}),
        row("R-12 both", {"response_types": ["code", "token"]}),
        row("R-12 none", {"response_types": []}),
        row("R-13 unknown", {"token_endpoint_auth_method": "tls_client_auth"}),
        row("R-13 no string", {"token_endpoint_auth_method": ["none"]}),
        row("R-13 a key without keys", {"token_endpoint_auth_method": "private_key_jwt"}),
        *(row(f"R-14 {name}", {name: "javascript:x"}) for name in ("logo_uri", "client_uri", "tos_uri", "policy_uri")),
        *(row(f"R-14 http {name}", {name: "http://a.example/"}) for name in ("logo_uri", "client_uri")),
        row("R-14 a quote", {"logo_uri": 'https://a.example/" onload="x'}),
        row("R-15 a number", {"client_name": 1}),
        row("R-15 10000 letters", {"client_name": "x" * 10_000}),
        row("R-15 an object", {"client_name": {"en": "x"}}),
        row("R-15 a NUL", {"client_name": "Clau\0de"}),
        row("R-15 nothing but a NUL", {"client_name": "\0"}),
    ],
)
def test_bad_metadata_is_refused(settings, change):
    with pytest.raises(InvalidClientMetadata):
        check_registration(PUBLIC | change, settings)


@pytest.mark.parametrize("body", [row(f"R-16 {body!r}", body) for body in (None, [], "x", 1, True)])
def test_what_is_no_object_is_refused(settings, body):
    with pytest.raises(InvalidClientMetadata):
        check_registration(body, settings)


def test_what_is_left_out_has_its_default_and_what_is_unknown_is_ignored(settings):
    body = {"redirect_uris": ["http://127.0.0.1/"], "client_id": "mine", "client_secret": "mine", "never_heard_of": 1}
    assert check_registration(body, settings) == {
        "redirect_uris": ["http://127.0.0.1/"],
        "token_endpoint_auth_method": "client_secret_basic",
        "grant_types": ["authorization_code", "refresh_token"],
        "response_types": ["code"],
    }


@pytest.mark.parametrize("name", [row("R-15 a script", "<script>"), row("R-15 an override", "\u202eedualC")])
def test_a_name_may_be_any_text_for_it_is_escaped_where_it_is_shown(settings, name):
    assert check_registration(PUBLIC | {"client_name": name}, settings)["client_name"] == name


# --- credentials ---


@pytest.mark.parametrize(
    ("authorization", "form", "error"),
    [
        ("Basic eDp5", {"client_secret": "y"}, InvalidRequest),
        ("Basic eDp5", {"client_id": "other"}, InvalidRequest),
        (None, {"client_id": "x", "client_secret": "y", "client_assertion": "z"}, InvalidRequest),
        (None, {}, InvalidClient),
        (None, {"client_assertion": "z", "client_assertion_type": "saml"}, InvalidClient),
        ("Basic !!!", {}, InvalidClient),
        ("Bearer eDp5", {}, InvalidClient),
        ("Basic eA==", {}, InvalidClient),
        ("Basic OnlvdQ==", {}, InvalidClient),
    ],
)
def test_credentials_come_in_one_way_and_can_be_read(authorization, form, error):
    with pytest.raises(error):
        read_credentials(authorization, form)


def test_credentials_are_read_from_the_header_or_the_form():
    basic = read_credentials("basic eDp5", {"client_id": "x"})
    assert (basic.client_id, basic.method, basic.proof) == ("x", "client_secret_basic", "y")
    post = read_credentials(None, {"client_id": "x", "client_secret": "y"})
    assert (post.client_id, post.method, post.proof) == ("x", "client_secret_post", "y")
    assert read_credentials(None, {"client_id": "x"}).method == "none"
