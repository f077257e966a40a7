"""definitions.py: placeholders, headers and arguments, as they go out; and what is refused (C-01, C-02)."""

from __future__ import annotations

from typing import Any

import pytest

from definitions import find_target
from errors import ToolError
from links import HttpTarget, StdioTarget

URL = "https://mcp.example.com/mcp/"


def remote(settings: dict[str, Any] | None = None, **secrets: str) -> HttpTarget:
    """The target of a server behind an address; `secrets` with __ for a colon and _ for a dash."""
    sealed = {name.replace("__", ":").replace("X_", "X-"): value for name, value in secrets.items()}
    return find_target("remote_http", {"url": URL} | (settings or {}), sealed)


def command(*args: str, secrets: dict[str, str] | None = None, **settings: Any) -> StdioTarget:
    """The target of a command with these arguments."""
    return find_target("stdio", {"command": "tool", "args": list(args)} | settings, secrets or {})


# --- addresses and headers ---


def test_an_address_alone_is_a_target():
    assert remote() == HttpTarget(URL, {}, 60)
    assert find_target("remote_sse", {"url": URL, "seconds": 5}, {}) == HttpTarget(URL, {}, 5)


@pytest.mark.parametrize("template", ["Bearer {key}", "Bearer {apiKey}"])
def test_an_api_key_goes_where_its_template_says(template: str):
    settings = {"auth": "api_key", "header_name": "X-Key", "header_template": template}
    assert remote(settings, api_key="k{key}\\1").headers == {"X-Key": "Bearer k{key}\\1"}
    assert remote({"auth": "api_key"}, api_key="k").headers == {"Authorization": "Bearer k"}


def test_a_user_name_and_a_password_become_a_basic_header():
    headers = remote({"auth": "basic"}, basic_user="Aladdin", basic_password="open sesame").headers
    assert headers == {"Authorization": "Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ=="}  # RFC 7617 §2


def test_oauth_adds_no_header_here():
    assert remote({"auth": "oauth"}, access_token="t", client_secret="s").headers == {}


def test_more_headers_are_sent_and_placeholders_in_them_filled():
    settings = {"header_names": ["X-One", "X-Two"], "inputs": {"TEAM": "blue"}}
    secrets = {"header__X_One": "plain", "header__X_Two": "${input:TEAM}/${input:TOKEN}", "input__TOKEN": "t0k"}
    assert remote(settings, **secrets).headers == {"X-One": "plain", "X-Two": "blue/t0k"}


def test_a_header_whose_values_were_all_left_out_is_not_sent():
    settings = {"header_names": ["X-One"], "inputs": {"TOKEN": ""}}
    assert remote(settings, header__X_One="Bearer ${input:TOKEN}").headers == {}


def test_a_value_is_never_read_for_placeholders_again():
    settings = {"header_names": ["X-One"], "inputs": {"A": "${input:B}", "B": "no"}}
    assert remote(settings, header__X_One="${input:A}").headers == {"X-One": "${input:B}"}


@pytest.mark.parametrize(
    ("url", "inputs", "filled"),
    [
        ("https://${input:HOST}/mcp", {"HOST": "eu.example.com:8443"}, "https://eu.example.com:8443/mcp"),
        ("${input:BASE}/mcp", {"BASE": "https://wiki.example.com"}, "https://wiki.example.com/mcp"),
        ("https://a.example/${input:TEAM}/mcp", {"TEAM": "a/../b?c#d@e f"}, "https://a.example/a%2F..%2Fb%3Fc%23d%40e%20f/mcp"),
        ("https://a.example/mcp?key=${input:KEY}", {"KEY": "1&admin=1"}, "https://a.example/mcp?key=1%26admin%3D1"),
    ],
)
def test_a_value_stays_in_its_place_of_an_address(url: str, inputs: dict[str, str], filled: str):
    assert remote({"url": url, "inputs": inputs}).url == filled


@pytest.mark.parametrize(
    ("settings", "secrets", "sentence"),
    [
        ({"url": "https://a.example/${input:TEAM}"}, {}, "The value “TEAM” is missing."),
        ({"url": "https://a.${input:HOST}/"}, {"input__HOST": "b/@evil.example"}, "The value “HOST” stands for a host name"),
        ({"url": "https://a.example/${input:UP}/mcp"}, {"input__UP": ".."}, "The address at a.example has . or .."),
        ({"url": "${input:BASE}/mcp"}, {"input__BASE": "file:///etc"}, "This is not an address that can be fetched"),
        ({"url": "https://user:pw@a.example/"}, {}, "This is not an address that can be fetched"),
        ({"auth": "api_key"}, {}, "There is no value for the API key."),
        ({"auth": "basic"}, {"basic_user": "u"}, "There is no value for the password."),
        ({"auth": "basic"}, {"basic_user": "a:b", "basic_password": "p"}, "A user name with a colon"),
        ({"header_names": ["X-One"]}, {}, "There is no value for the header X-One."),
        ({"header_names": ["X-One"]}, {"header__X_One": "a\r\nHost: evil.example"}, "The header X-One holds characters"),
        ({"auth": "api_key"}, {"api_key": "a\nb"}, "The header Authorization holds characters"),
        ({"header_names": ["Host"]}, {"header__Host": "x"}, "“Host” is not a header that can be set."),
        ({"header_names": ["mcp-session-id"]}, {"header__mcp-session-id": "x"}, "“mcp-session-id” is not a header"),
        ({"header_names": ["X:"]}, {"header__X:": "x"}, "“X:” is not a header"),
        (
            {"auth": "api_key", "header_names": ["authorization"]},
            {"api_key": "k", "header__authorization": "x"},
            "A header is given twice",
        ),
    ],
)  # fmt: skip
def test_it_says_what_is_wrong_and_never_a_value(settings: dict[str, Any], secrets: dict[str, str], sentence: str):
    with pytest.raises(ToolError) as refusal:
        remote(settings, **secrets)
    assert str(refusal.value).startswith(sentence)
    assert "evil" not in str(refusal.value)


# --- commands ---


def test_a_command_gets_its_arguments_and_environment_just_as_they_are():
    odd = ["; $(id) | tee > x &", "--flag=${input:A}", "a b", "'\""]
    secrets = {"env:TOKEN": "${input:T}", "input:T": "t0k"}
    target = command(*odd, secrets=secrets, env_names=["TOKEN"], inputs={"A": "-1"}, cwd="/srv", seconds=9)
    arguments = ("; $(id) | tee > x &", "--flag=-1", "a b", "'\"")
    assert target == StdioTarget("tool", arguments, {"TOKEN": "t0k"}, "/srv", 9, ("t0k",))


def test_an_argument_and_a_variable_that_were_left_out_are_dropped():
    target = command("--team=${input:TEAM}", "x", secrets={"env:T": "${input:T}"}, env_names=["T"], inputs={"TEAM": "", "T": ""})
    assert (target.arguments, target.environment) == (("x",), {})


@pytest.mark.parametrize("value", ["-rf", "--config=/etc/passwd", "--"])
def test_a_value_does_not_become_an_option(value: str):
    with pytest.raises(ToolError, match="The value “PATH” begins with a dash, so the command would take it for an option"):
        command("run", "${input:PATH}", secrets={"input:PATH": value})
    assert command("run", "--", "${input:PATH}", secrets={"input:PATH": value}).arguments == ("run", "--", value)
    assert command("-v", "${input:PATH}", secrets={"input:PATH": "a" + value}).arguments == ("-v", "a" + value)


@pytest.mark.parametrize(
    ("args", "settings", "sentence"),
    [
        (["${input:A}"], {}, "The value “A” is missing"),
        (["x"], {"env_names": ["T"]}, "There is no value for the variable T"),
        (["x\0y"], {}, "An argument holds a character"),
    ],
)
def test_it_says_what_a_command_lacks(args: list[str], settings: dict[str, Any], sentence: str):
    with pytest.raises(ToolError, match=sentence):
        command(*args, **settings)


def test_a_target_shows_no_secret_when_it_is_printed():
    shown = repr(remote({"auth": "api_key"}, api_key="s3cret")) + repr(command(secrets={"env:T": "s3cret"}, env_names=["T"]))
    assert "s3cret" not in shown
    assert "mcp.example.com" in shown
