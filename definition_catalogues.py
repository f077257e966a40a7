"""Reads definitions as catalogues, registries and tables of other gateways publish them. Opens nothing."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from definition_editors import TYPES, read_command, read_remote
from definition_parts import Odd, as_text, check_id, finish, need, quoted, read_metadata
from server_definitions import Definition, Input

# --- a definition with `transport` and `metadata.inputs`: our own catalogue's form, and that of others ---


def read_definition(row: Mapping[str, Any]) -> Iterator[Definition]:
    """One definition."""
    key = need(str, row.get("id") or row.get("name"), "The id of a definition")
    transport = need(dict, row.get("transport"), f"The transport of {quoted(key)}")
    said = transport.get("type")
    if said not in TYPES:
        raise Odd(f"The transport of {quoted(key)} is of a type that is not known here: {quoted(said)}.")
    auth = need(dict, row.get("auth") or {}, f"The auth of {quoted(key)}").get("type")
    if TYPES[said] == "stdio":
        settings, secrets = read_command(key, transport)
    else:
        settings, secrets = read_remote(key, transport, transport.get("url"))
        settings["auth"] = AUTHS.get(auth, settings["auth"]) if not secrets else "oauth" if auth == "oauth" else "none"
    links = need(dict, row.get("links") or {}, f"The links of {quoted(key)}")
    yield finish(
        Definition(
            key=key,
            kind=TYPES[said],
            settings=settings,
            secrets=secrets,
            title=str(row.get("name") or key),
            description=str(row.get("description") or "")[:1000],
            link=next((str(links[name]) for name in ("documentation", "homepage", "repository") if links.get(name)), ""),
            tags=tuple(str(item) for item in [*(row.get("categories") or ()), *(row.get("tags") or ())]),
        ),
        read_metadata(transport.get("metadata") or row.get("metadata")),
    )


AUTHS = {"none": "none", "oauth": "oauth", "api_key": "api_key", "basic": "basic"}

# --- the official registry's server.json ---

RUNNERS = {  # registryType -> (program, arguments before the package, how a version is named)
    "npm": ("npx", ("-y",), "{identifier}@{version}"),
    "pypi": ("uvx", (), "{identifier}=={version}"),
}
REMOTE_TYPES = {"streamable-http": "remote_http", "sse": "remote_sse"}


def read_registry_entry(entry: Mapping[str, Any]) -> Iterator[Definition]:
    """What one entry offers: the first address that can be used, else the first package. One that offers neither is left out."""
    row = entry.get("server", entry)
    key = need(str, row.get("name"), "The name of a server")
    facts = {
        "title": str(row.get("title") or key),
        "description": str(row.get("description") or "")[:1000],
        "link": str(row.get("websiteUrl") or (row.get("repository") or {}).get("url") or ""),
    }
    remotes = [item for item in row.get("remotes") or () if item.get("type") in REMOTE_TYPES]
    packages = [item for item in row.get("packages") or () if is_runnable(item)]
    if remotes:
        best = min(remotes, key=lambda item: item["type"] == "sse")
        yield read_registry_remote(key, best, facts)
    elif packages:
        yield read_package(key, packages[0], facts)


def is_runnable(package: Mapping[str, Any]) -> bool:
    """Whether a package is one that a known program runs over stdio."""
    transport = package.get("transport") or {"type": "stdio"}
    return package.get("registryType", package.get("registry_type")) in RUNNERS and transport.get("type") == "stdio"


def read_registry_remote(key: str, remote: Mapping[str, Any], facts: Mapping[str, Any]) -> Definition:
    """An address, with what has to be filled in: `{variable}` in it, and headers."""
    inputs, headers = Inputs(), {}
    url = inputs.fill(need(str, remote.get("url"), f"The address of {quoted(key)}"), remote.get("variables"))
    for row in remote.get("headers") or ():
        headers[str(row.get("name"))] = inputs.value_of(row)
    settings = {"url": url, "auth": "none" if headers else "oauth", "header_names": list(headers)}
    secrets = {f"header:{name}": value for name, value in headers.items()}
    return finish(Definition(key, REMOTE_TYPES[remote["type"]], settings, secrets, **facts), inputs.found)


def read_package(key: str, package: Mapping[str, Any], facts: Mapping[str, Any]) -> Definition:
    """A package, with its own arguments and environment."""
    program, before, named = RUNNERS[package.get("registryType", package.get("registry_type"))]
    if not package.get("version"):
        raise Odd(f"The package of {quoted(key)} has no version.")
    inputs, environment = Inputs(), {}
    name = named.format(identifier=package.get("identifier"), version=package["version"])
    arguments = [*before, *read_arguments(inputs, package.get("runtimeArguments"), before)]
    arguments += [name, *read_arguments(inputs, package.get("packageArguments"), ())]
    for row in package.get("environmentVariables") or ():
        environment[str(row.get("name"))] = inputs.value_of(row)
    settings = {"command": program, "args": arguments, "env_names": list(environment)}
    secrets = {f"env:{variable}": value for variable, value in environment.items()}
    return finish(Definition(key, "stdio", settings, secrets, **facts), inputs.found)


def read_arguments(inputs: Inputs, rows: Any, present: tuple[str, ...]) -> Iterator[str]:
    """Positional and named arguments, as they go to the program."""
    for row in rows or ():
        is_flag = row.get("type") == "named" and not any(row.get(name) for name in ("value", "valueHint", "default"))
        if not (row.get("isRequired") or row.get("value") or row.get("default")):
            continue  # what may be left out is
        words = [str(row.get("name") or "")] if row.get("type") == "named" else []
        if not is_flag:
            words.append(inputs.value_of({"name": row.get("valueHint") or "VALUE"} | row))
        yield from (word for word in words if word and word not in present)


class Inputs:
    """What of a registry's entry its person has to fill in."""

    def __init__(self) -> None:
        self.found: dict[str, Input] = {}

    def value_of(self, row: Mapping[str, Any]) -> str:
        """The value of a header, a variable or an argument: a fixed one, else a placeholder for an input of its own."""
        if row.get("value"):
            return self.fill(str(row["value"]), row.get("variables"))
        return self.add(str(row.get("name") or "VALUE"), row)

    def fill(self, text: str, variables: Any) -> str:
        """A text with `{variable}` made a placeholder."""
        for name, row in (variables or {}).items():
            text = text.replace("{" + name + "}", self.add(name, row))
        return text

    def add(self, name: str, row: Mapping[str, Any]) -> str:
        """Ask for a value; answers its placeholder."""
        identity = check_id("".join(letter if letter.isalnum() and letter.isascii() else "_" for letter in name)[:64])
        choices = tuple((str(item), str(item)) for item in row.get("choices") or ())
        self.found.setdefault(
            identity,
            Input(
                identity,
                label=name[:200],
                kind="select" if choices else "text",
                is_secret=bool(row.get("isSecret", False)) and not choices,
                is_required=bool(row.get("isRequired", False)),
                default=str(row.get("default") or ""),
                help=str(row.get("description") or "")[:500],
                options=choices if row.get("isRequired") or not choices else (("", "None"), *choices),
            ),
        )
        return f"${{input:{identity}}}"


# --- a row of Local MCP Gateway's table `mcp_servers` ---

COLUMN_TYPES = {"remote_http": "remote_http", "remote_sse": "remote_sse", "external": "stdio"}


def read_table_row(row: Mapping[str, Any]) -> Iterator[Definition]:
    """One row, whose JSON columns may still be texts."""
    key = need(str, row.get("name"), "The name of a server")
    if row.get("type") not in COLUMN_TYPES:
        said = quoted(row.get("type"))
        raise Odd(f"The server {quoted(key)} is of the type {said}: code of that gateway, which cannot be taken over.")
    kind = COLUMN_TYPES[row["type"]]
    config = column(row, key, "config")
    if kind == "stdio":
        settings, secrets = read_command(key, config)
    else:
        settings, secrets = read_remote(key, config, join_endpoint(config))
        add_sign_in(settings, secrets, column(row, key, "oauth_config"), column(row, key, "api_key_config"))
    yield finish(Definition(key, kind, settings, secrets), {})


def column(row: Mapping[str, Any], key: str, name: str) -> dict[str, Any]:
    """One JSON column, under its own name or the one of their API."""
    first, *others = name.split("_")
    value = row.get(name, row.get(first + "".join(word.title() for word in others)))
    if isinstance(value, str):
        try:
            value = json.loads(value)
        except ValueError:
            raise Odd(f"The {name} of {quoted(key)} is not JSON.") from None
    return need(dict, value or {}, f"The {name} of {quoted(key)}")


def join_endpoint(config: Mapping[str, Any]) -> Any:
    """The address of the event stream: there may be a path of its own for it."""
    url, endpoint = config.get("url"), config.get("sseEndpoint")
    if isinstance(url, str) and isinstance(endpoint, str) and not url.rstrip("/").endswith(endpoint.rstrip("/")):
        return url.rstrip("/") + "/" + endpoint.lstrip("/")
    return url


def add_sign_in(settings: dict[str, Any], secrets: dict[str, str], oauth: Mapping[str, Any], api_key: Mapping[str, Any]) -> None:
    """What stands in the columns about OAuth and API keys."""
    if oauth:
        settings |= {
            "auth": "oauth",
            "authorization_endpoint": str(oauth.get("authorizationUrl") or ""),
            "token_endpoint": str(oauth.get("tokenUrl") or ""),
            "client_id": str(oauth.get("clientId") or ""),
            "scope": str(oauth.get("scopes") or ""),
        }
        secrets |= {"client_secret": as_text(oauth["clientSecret"], "clientSecret")} if oauth.get("clientSecret") else {}
    elif api_key:
        settings |= {
            "auth": "api_key",
            "header_name": str(api_key.get("headerName") or "Authorization"),
            "header_template": str(api_key.get("headerValueTemplate") or api_key.get("headerValue") or "Bearer {key}"),
        }
        secrets |= {"api_key": as_text(api_key["apiKey"], "apiKey")} if api_key.get("apiKey") else {}
