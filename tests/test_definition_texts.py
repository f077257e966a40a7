"""definition_*.py and server_definitions.py: what other programs keep about MCP servers becomes definitions, or a sentence."""

from __future__ import annotations

import json
from typing import Any

import pytest

from definition_texts import read_definitions
from errors import InvalidInput
from server_definitions import Definition, Input, find_unpinned, read_inputs, with_inputs
from tools import Connector


def read(document: Any) -> Definition:
    """The one server of a document."""
    (found,) = read_definitions(document if isinstance(document, str) else json.dumps(document))
    return found


def remote(**settings: Any) -> Definition:
    """What a server behind an address is read as."""
    return Definition("x", "remote_http", {"url": "https://x.example/mcp", "auth": "oauth"} | settings)


# --- Claude Desktop, Cursor, VS Code ---


def test_claude_desktops_file_is_read():
    entry = {"command": "npx", "args": ["-y", "tool@1.0.0", "a b"], "env": {"TOKEN": "t", "N": 5, "ON": True}, "cwd": "/srv"}
    found = read({"mcpServers": {"files": entry}, "globalShortcut": "Ctrl+Space"})
    settings = {"command": "npx", "args": ["-y", "tool@1.0.0", "a b"], "cwd": "/srv", "env_names": ["TOKEN", "N", "ON"]}
    assert found == Definition("files", "stdio", settings, {"env:TOKEN": "t", "env:N": "5", "env:ON": "true"})
    assert "env:TOKEN" not in repr(found)


def test_cursors_file_is_read_and_what_it_takes_from_the_environment_is_asked_for():
    found = read({"mcpServers": {"x": {"url": "https://x.example/mcp", "headers": {"X-Key": "Bearer ${env:MY_KEY}"}}}})
    assert found.settings == {"url": "https://x.example/mcp", "auth": "none", "header_names": ["X-Key"]}
    assert found.secrets == {"header:X-Key": "Bearer ${input:MY_KEY}"}
    assert found.inputs == (Input("MY_KEY", is_secret=True, is_required=True),)


def test_what_claude_code_takes_from_the_environment_may_have_a_default():
    found = read({"mcpServers": {"x": {"command": "tool", "args": ["${MODE:-fast}", "${KEY}"]}}})
    assert found.settings["args"] == ["${input:MODE}", "${input:KEY}"]
    assert found.inputs == (Input("MODE", is_secret=False, is_required=False, default="fast"), Input("KEY"))


def test_vs_codes_file_is_read_with_comments_and_with_the_inputs_that_a_server_uses():
    found = read("""{
      // mine
      "inputs": [
        {"type": "promptString", "id": "pat", "description": "A token, // really", "password": true},
        {"type": "pickString", "id": "mode", "description": "Mode",
         "options": ["a", {"label": "Bee", "value": "b"}], "default": "b"},
        {"type": "promptString", "id": "unused", "description": "Nobody uses it"},
      ],
      /* and */ "servers": {
        "x": {"type": "http", "url": "https://x.example/mcp?m=${input:mode}",
              "headers": {"Authorization": "Bearer ${input:pat}"}},
      }
    }""")
    assert found.inputs == (
        Input("mode", "Mode", "select", is_secret=False, default="b", options=(("a", "a"), ("b", "Bee"))),
        Input("pat", "A token, // really", is_secret=True),
    )


@pytest.mark.parametrize(
    ("entry", "kind"),
    [
        ({"url": "https://x.example/mcp"}, "remote_http"),
        ({"url": "https://x.example/sse"}, "remote_sse"),
        ({"url": "https://x.example/mcp", "type": "sse"}, "remote_sse"),
        ({"url": "https://x.example/sse", "type": "streamable-http"}, "remote_http"),
        ({"serverUrl": "https://x.example/mcp"}, "remote_http"),
        ({"httpUrl": "https://x.example/mcp", "transport": "http"}, "remote_http"),
        ({"command": "tool", "type": "local"}, "stdio"),
    ],
)
def test_the_kind_is_what_it_says_or_what_it_has(entry: dict[str, Any], kind: str):
    assert read({"mcpServers": {"x": entry}}).kind == kind


@pytest.mark.parametrize(
    "document",
    [
        {"mcpServers": {"x": {"url": "https://x.example/mcp"}}},
        {"servers": {"x": {"url": "https://x.example/mcp"}}},
        {"mcp": {"servers": {"x": {"url": "https://x.example/mcp"}}}},
        {"x": {"url": "https://x.example/mcp"}},
        '"x": {"url": "https://x.example/mcp"}',
        [{"url": "https://x.example/mcp", "name": "x"}],
        {"context_servers": {"x": {"source": "custom", "url": "https://x.example/mcp"}}},
        '"x": {"url": "https://x.example/mcp"},\n',
        '\ufeff{"mcpServers": {"x": {"url": "https://x.example/mcp",},},},',
        '```json\n{"mcpServers": {"x": {"url": "https://x.example/mcp"}}}\n```\n',
    ],
    ids=str,
)
def test_it_does_not_matter_how_much_of_the_file_is_pasted(document: Any):
    found = read(document)
    assert (found.key, found.kind, found.settings) == ("x", "remote_http", remote().settings)


def test_an_address_alone_is_a_server():
    found = read(" https://x.example/mcp?a=1\n")
    assert (found.kind, found.settings["url"]) == ("remote_http", "https://x.example/mcp?a=1")


@pytest.mark.parametrize("name", ["TOKEN", "token", "gitHubToken", "_t1"])
def test_a_variable_may_be_written_in_any_way_where_it_says_that_it_is_one(name: str):
    found = read({"servers": {"x": {"command": "tool", "args": [f"--key=${{env:{name}}}"]}}})
    assert (found.settings["args"], found.inputs) == ([f"--key=${{input:{name}}}"], (Input(name),))


def test_what_other_editors_call_by_another_name_is_taken_over():
    within = {"url": "https://x.example/mcp", "requestInit": {"headers": {"X-Key": "k"}}, "transportType": "sse"}
    found = read({"servers": {"x": within}})
    assert (found.kind, found.secrets) == ("remote_sse", {"header:X-Key": "k"})
    found = read({"mcpServers": {"x": {"command": "tool", "env": {"A": "a", "B": None}, "watchPaths": [], "excludeTools": []}}})
    assert (found.secrets, found.left_out) == ({"env:A": "a"}, ("excludeTools", "watchPaths"))


def test_it_says_what_to_do_about_what_cannot_be_taken_over():
    for member, place in (("envFile", "“env”"), ("headersHelper", "“headers”")):
        with pytest.raises(InvalidInput, match=f"{place} instead\\.$"):
            read({"mcpServers": {"x": {"command": "tool", member: "a"}}})


def test_a_client_that_was_made_by_hand_is_taken_over():
    auth = {"CLIENT_ID": "c1", "CLIENT_SECRET": "s3", "scopes": ["read", "write"]}
    found = read({"mcpServers": {"x": {"url": "https://x.example/mcp", "auth": auth}}})
    assert (found.settings, found.secrets) == (remote(client_id="c1", scope="read write").settings, {"client_secret": "s3"})


def test_what_is_switched_off_there_is_not_wanted_and_what_means_nothing_here_is_named():
    found = read({"mcpServers": {"x": {"command": "tool", "disabled": True, "autoApprove": ["a"], "timeout": 9}}})
    assert (found.is_wanted, found.left_out) == (False, ("autoApprove", "timeout"))


# --- catalogues and tables ---

DEFINITION = {
    "id": "com.wiki-mcp",
    "name": "Wiki",
    "description": "Pages.",
    "links": {"homepage": "https://wiki.example"},
    "tags": ["notes"],
    "transport": {
        "type": "stdio",
        "command": "uvx",
        "args": ["wiki==1.2", "${input:FOLDER}"],
        "env": {"TOKEN": "${input:TOKEN}"},
        "metadata": {
            "inputs": [
                {"id": "FOLDER", "label": "Folder", "type": "directory_path", "required": True, "description": "Which."},
                {"id": "TOKEN", "label": "Token", "type": "text", "secret": True, "obtain": {"url": "https://wiki.example/keys"}},
                {"id": "UNUSED", "type": "text"},
            ]
        },
    },
}


def test_a_definition_with_inputs_is_read():
    found = read(DEFINITION)
    assert (found.key, found.kind, found.title, found.description) == ("com.wiki-mcp", "stdio", "Wiki", "Pages.")
    assert (found.link, found.tags) == ("https://wiki.example", ("notes",))
    assert found.settings == {"command": "uvx", "args": ["wiki==1.2", "${input:FOLDER}"], "env_names": ["TOKEN"]}
    assert found.inputs == (
        Input("FOLDER", "Folder", "text", is_secret=False, help="Which."),
        Input("TOKEN", "Token", "text", is_secret=True, is_required=False, help="https://wiki.example/keys"),
    )
    assert read({"servers": [DEFINITION]}) == found


@pytest.mark.parametrize(
    ("auth", "headers", "expected"),
    [
        ("oauth", {}, "oauth"),
        ("none", {}, "none"),
        ("api_key", {}, "api_key"),
        ("basic", {}, "basic"),
        ("optional_api_key", {"X-Key": "${input:K}"}, "none"),
        ("api_key", {"X-Key": "${input:K}"}, "none"),
        (None, {}, "oauth"),
    ],
)
def test_how_a_definition_is_let_in(auth: str | None, headers: dict[str, str], expected: str):
    transport = {"type": "http", "url": "https://x.example/mcp", "headers": headers}
    assert read({"id": "x.y", "name": "X", "auth": {"type": auth}, "transport": transport}).settings["auth"] == expected


def test_a_truth_value_becomes_a_choice():
    inputs = [{"id": "ON", "type": "boolean", "required": True, "default": True}, {"id": "OFF", "type": "boolean"}]
    transport = {"type": "stdio", "command": "t", "args": ["${input:ON}", "${input:OFF}"], "metadata": {"inputs": inputs}}
    on, off = read({"id": "x.y", "transport": transport}).inputs
    assert (on.options, on.default) == ((("true", "Yes"), ("false", "No")), "true")
    assert off.options[0] == ("", "As the server does it")


@pytest.mark.parametrize("as_text", [False, True])
def test_rows_of_a_gateways_table_are_read(as_text: bool):
    def column(value: dict[str, Any]) -> Any:
        return json.dumps(value) if as_text else value

    key = column({"apiKey": "sk", "headerName": "X-Key", "headerValueTemplate": "Key {apiKey}"})
    found = read({"name": "x", "type": "remote_http", "config": column({"url": "https://x.example/mcp"}), "api_key_config": key})
    assert (found.settings, found.secrets) == (
        remote(auth="api_key", header_name="X-Key", header_template="Key {apiKey}").settings,
        {"api_key": "sk"},
    )
    oauth = {"authorizationUrl": "https://a.example/authorize", "tokenUrl": "https://a.example/token", "clientId": "c"}
    oauth |= {"clientSecret": "s", "scopes": "read write"}
    row = {"name": "x", "type": "remote_sse", "config": column({"url": "https://x.example", "sseEndpoint": "/sse"})}
    found = read(row | {"oauthConfig": column(oauth)})
    assert found.settings == {
        "url": "https://x.example/sse",
        "auth": "oauth",
        "authorization_endpoint": "https://a.example/authorize",
        "token_endpoint": "https://a.example/token",
        "client_id": "c",
        "scope": "read write",
    }
    assert found.secrets == {"client_secret": "s"}
    command = {"command": "node", "args": ["server.js"], "env": {"KEY": "v"}, "cwd": "/srv"}
    found = read([{"name": "y", "type": "external", "config": column(command)}])
    assert (found.kind, found.settings["command"], found.secrets) == ("stdio", "node", {"env:KEY": "v"})


def test_an_entry_of_the_official_registry_is_read_by_its_address_first():
    remotes = [
        {"type": "sse", "url": "https://x.example/sse"},
        {
            "type": "streamable-http",
            "url": "https://{tenant}.x.example/mcp",
            "variables": {"tenant": {"description": "Yours", "isRequired": True}},
            "headers": [{"name": "X-Key", "isSecret": True, "isRequired": True}, {"name": "X-Fixed", "value": "1"}],
        },
    ]
    found = read(
        {"server": {"name": "io.x/y", "title": "Y", "description": "D", "version": "1.0.0", "remotes": remotes}, "_meta": {}}
    )
    assert (found.key, found.title, found.kind) == ("io.x/y", "Y", "remote_http")
    assert found.settings["url"] == "https://${input:tenant}.x.example/mcp"
    assert found.secrets == {"header:X-Key": "${input:X_Key}", "header:X-Fixed": "1"}
    assert [(item.id, item.is_secret, item.is_required) for item in found.inputs] == [
        ("tenant", False, True),
        ("X_Key", True, True),
    ]


def test_a_package_of_the_official_registry_becomes_a_command_with_a_version():
    package = {
        "registryType": "npm",
        "identifier": "@x/y",
        "version": "1.2.3",
        "transport": {"type": "stdio"},
        "runtimeArguments": [{"type": "named", "name": "-y"}],
        "packageArguments": [
            {"type": "named", "name": "--port", "value": "{port}", "variables": {"port": {"default": "80"}}},
            {"type": "named", "name": "--verbose", "isRequired": True},
            {"type": "positional", "valueHint": "folder", "isRequired": True},
            {"type": "positional", "valueHint": "more"},
        ],
        "environmentVariables": [
            {"name": "TOKEN", "isSecret": True, "isRequired": True},
            {"name": "MODE", "choices": ["a", "b"]},
        ],
    }
    found = read({"name": "io.x/y", "version": "1.2.3", "packages": [{"registryType": "oci"}, package]})
    assert found.settings["args"] == ["-y", "@x/y@1.2.3", "--port", "${input:port}", "--verbose", "${input:folder}"]
    assert (found.settings["command"], found.secrets) == ("npx", {"env:TOKEN": "${input:TOKEN}", "env:MODE": "${input:MODE}"})
    assert found.inputs[-1].options == (("", "None"), ("a", "a"), ("b", "b"))
    package |= {"registryType": "pypi", "runtimeArguments": []}
    assert read({"name": "io.x/y", "packages": [package]}).settings["args"][:1] == ["@x/y==1.2.3"]


# --- what is refused ---

X = {"url": "https://x.example"}


@pytest.mark.parametrize(
    ("document", "sentence"),
    [
        ("", "This is not JSON: something is wrong in line 1, at character 1."),
        ('{"mcpServers": {\n  "x": {"url": oops}\n}}', "This is not JSON: something is wrong in line 2, at character 16."),
        ("[" * 100_000, "This is more than 64 KiB."),
        ("[" * 60_000, "This is not JSON that anybody would write: it is nested too deeply."),
        ("5", "This is no description of a server"),
        ("{}", "This is no description of a server"),
        ('{"hello": "world"}', "This is no description of a server"),
        ("[]", "There is no server in it."),
        ('{"mcpServers": {}}', "There is no server in it."),
        ('{"mcpServers": 5}', "The list of servers must be an object or a list."),
        ('{"mcpServers": {"x": "tool"}}', "“x” must be an object."),
        ('{"mcpServers": {"x": {"url": "https://a"}, "x": {"url": "https://b"}}}', "“x” is there twice."),
        ({"mcpServers": {"x": X | {"envFile": ".env"}}}, "The server “x” has a member “envFile”, which is not known here."),
        ({"mcpServers": {"x": X | {"command": "tool"}}}, "The server “x” must have either a command or a url."),
        ({"mcpServers": {"x": {"args": []}}}, "The server “x” must have either a command or a url."),
        ({"mcpServers": {"x": X | {"type": "carrier-pigeon"}}}, "The server “x” is of a type that is not known here: “carr"),
        ({"mcpServers": {"x": X | {"type": "stdio"}}}, "The server “x” has a url, and says that it is a command."),
        ({"mcpServers": {"x": {"url": 5}}}, "The address of “x” must be a text."),
        ({"mcpServers": {"x": {"command": ["a"]}}}, "The command of “x” must be a text."),
        ({"mcpServers": {"x": {"command": "a", "args": "b"}}}, "The command of “x”: args must be a list."),
        ({"mcpServers": {"x": {"command": "a", "args": [{}]}}}, "An argument of “x” must be a text."),
        ({"mcpServers": {"x": {"command": "a", "args": [" b"]}}}, "The command of “x” has an argument that is empty"),
        ({"mcpServers": {"x": {"command": "a", "args": ["b\u202e"]}}}, "The command of “x” has an argument that is empty"),
        ({"mcpServers": {"x": {"command": "a", "env": {"A": []}}}}, "The environment of “x”: “A” must be a text."),
        ({"mcpServers": {"x": {"command": "a", "args": ["${workspaceFolder}/b"]}}}, "“${workspaceFolder}” means something to an"),
        ({"mcpServers": {"x": {"command": "a", "args": ["${home}/b"]}}}, "“${home}” means something to an editor"),
        ({"mcpServers": {"x": {"command": "a", "args": ["${env:1}"]}}}, "“${env:1}” means something to an editor"),
        ({"mcpServers": {"x": X | {"requestInit": 5}}}, "The requestInit of “x” must be an object."),
        ({"mcpServers": {"x": {"command": "a", "args": ["${input:bad id}"]}}}, "“${input:bad id}” means something to an editor"),
        ({"servers": {"x": X}, "inputs": [{"type": "command", "id": "a"}]}, "The input “a” is of the type “command”"),
        ({"servers": {"x": X}, "inputs": [{"type": "promptString", "id": "a b"}]}, "“a b” cannot be the ID of an input."),
        ({"name": "x", "type": "custom", "config": {}}, "The server “x” is of the type “custom”: code of that gateway"),
        ({"name": "x", "type": "external", "config": "{"}, "The config of “x” is not JSON."),
        ({"id": "x.y", "transport": {"type": "telnet"}}, "The transport of “x.y” is of a type that is not known here: “telnet”."),
        ({"remotes": 5, "name": "x"}, "This looks like a description of a server, but has another shape than is known here."),
        ({"mcpServers": {str(number): X for number in range(51)}}, "These are more than 50 servers."),
    ],
    ids=str,
)  # fmt: skip
def test_it_says_what_is_wrong_with_a_document(document: Any, sentence: str):
    with pytest.raises(InvalidInput) as refusal:
        read_definitions(document if isinstance(document, str) else json.dumps(document))
    assert str(refusal.value).startswith(sentence)


# --- what becomes of a definition ---


def test_its_copy_holds_the_names_of_secrets_and_no_value():
    found = read({"mcpServers": {"x": {"command": "tool", "env": {"TOKEN": "s3cret"}}}})
    assert found.to_json()["secrets"] == ["env:TOKEN"]
    assert "s3cret" not in json.dumps(found.to_json())


def test_its_inputs_come_back_from_the_copy():
    found = read(DEFINITION)
    assert read_inputs(json.loads(json.dumps(found.to_json()))) == found.inputs
    assert read_inputs(None) == ()


def test_inputs_become_fields_and_so_do_placeholders_that_nobody_declared():
    form = with_inputs(
        Connector("x", "X", ""), [Input("A", is_secret=False, is_required=False, help="Which.")], ["${input:B}${input:A}"]
    )
    fields = {field.name: field for field in form.fields}
    assert set(fields) == {"input:A", "input:B"}
    assert (fields["input:A"].kind, fields["input:A"].required, fields["input:A"].help) == (
        "text",
        False,
        "Which. It may be left out.",
    )
    assert (fields["input:B"].kind, fields["input:B"].required, fields["input:B"].inside) == ("secret", True, "inputs")


@pytest.mark.parametrize(
    ("command", "unpinned"),
    [
        ("npx -y @x/tool", "@x/tool"),
        ("npx -y @x/tool@1.2.3", None),
        ("npx tool@latest", "tool@latest"),
        ("/usr/bin/npx -y tool@v2 --flag x", None),
        ("npx -y --package tool@1 tool", None),
        ("uvx tool", "tool"),
        ("uvx tool==1.0", None),
        ("uvx --from tool@1.0 run-it", None),
        ("uvx --python 3.12 tool", "tool"),
        ("pipx run tool", "tool"),
        ("python3 server.py", None),
        ("npx", None),
    ],
)
def test_a_package_without_a_version_is_noticed(command: str, unpinned: str | None):
    program, *arguments = command.split()
    assert find_unpinned(program, arguments) == unpinned
