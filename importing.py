"""Pages that bring in definitions of MCP servers: pasted, or picked from a catalogue. Nothing is made before it was shown."""

from __future__ import annotations

import json
import shlex
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from flask import Blueprint, Response, request

from crypto import Unreadable
from definition_texts import read_definitions
from definitions import COMMAND
from errors import InvalidInput, NotFound, ToolError
from forms import NAME_MAX, Line, list_lines, read_draft, restore_typed_secrets, seal_typed_secrets
from guarded import check_may_define, is_fresh, may_define
from joining import join
from server_definitions import Definition, find_unpinned, with_inputs
from store.connections import Draft, find_twin, get_connection, list_connections
from store.profiles import Profile, list_profiles
from store.users import User
from tools import Connector, Field
from upstream_forms import check_draft
from web import (
    REPEAT_SECONDS,
    confirm_login,
    current_user,
    look_at_servers,
    next_page,
    now,
    page,
    page_after_making,
    see_other,
    serve_form,
    state,
)

bp = Blueprint("importing", __name__)

SHOWN_MAX = 60  # of a catalogue, on one page


@dataclass(frozen=True)
class Item:
    """One server of what is brought in. `fields` are what its person still has to fill in, under `number` in the page's form."""

    number: int
    definition: Definition
    connector: Connector
    fields: tuple[Field, ...]
    name: str  # one that is free
    may_make: bool

    def key(self, name: str) -> str:
        """The name of an input of the page."""
        return f"{self.number}.{name}"

    @property
    def command(self) -> str:
        """The whole command, each argument such that one sees where it begins and ends."""
        settings = self.definition.settings
        return "\n  ".join(shlex.quote(word) for word in (settings.get("command") or "", *settings.get("args", ())))

    @property
    def unpinned(self) -> str | None:
        """The package that could be another one tomorrow."""
        settings = self.definition.settings
        return find_unpinned(settings.get("command") or "", settings.get("args") or ())


@dataclass(frozen=True)
class Desk:
    """What the page works on: nothing yet, or the servers of a document."""

    user: User
    source: str = "pasted"
    text: str = ""
    items: tuple[Item, ...] = ()


@bp.route("/connections/import", methods=["GET", "POST"])
def bring_in() -> Response:
    """Paste a document, see what it would make, fill in what is missing, and make it."""
    user = current_user()
    if server := request.args.get("server"):
        return pick(user, server)
    return serve_form(open_desk(user), ACTIONS, show)


def pick(user: User, server: str) -> Response:
    """What a server of the catalogue would make."""
    entry = state().servers.find(server)
    if entry is None:
        raise NotFound("no such server")
    return show(lay_out(user, entry.source, entry.text))


@bp.get("/connections/catalogue")
def catalogue() -> Response:
    """Servers to pick, and a search in them."""
    user, words = current_user(), request.args.get("q", "")[:100]
    found = state().servers.search(words)
    return page(
        "catalogue.html",
        words=words,
        entries=found[:SHOWN_MAX],
        more=max(0, len(found) - SHOWN_MAX),
        may_command=may_define(user, COMMAND),
        registry_host=state().servers.registry_host,
        fetched_at=state().servers.fetched_at(),
        next=next_page(),
    )


# --- what is on the desk ---


def open_desk(user: User) -> Desk:
    """The desk as the page's last round left it."""
    try:
        kept = json.loads(state().vault.unseal(request.form.get("document", ""), "document", user.id))
    except Unreadable:
        return Desk(user)
    return lay_out(user, kept["source"], kept["text"])


def lay_out(user: User, source: str, text: str) -> Desk:
    """The servers of a document. Raises InvalidInput if it cannot be read; a command asks for the password again."""
    definitions = read_definitions(text)
    if any(item.kind == COMMAND for item in definitions) and may_define(user, COMMAND):
        check_may_define(user, COMMAND, "/connections/import")
    taken = {connection.name for connection in list_connections(state().db, user.id)}
    items = []
    for number, definition in enumerate(definitions):
        name = find_name(definition.name, taken)
        taken.add(name)
        items.append(make_item(user, number, definition, name))
    return Desk(user, source, text, tuple(items))


def find_name(wanted: str, taken: set[str]) -> str:
    """A name that is free: the definition's own, or with a number behind it."""
    base = "".join(letter for letter in wanted if letter.isprintable()).strip()[: NAME_MAX - 4] or "MCP server"
    names = (base if number == 1 else f"{base} {number}" for number in range(1, len(taken) + 2))
    return next(name for name in names if name not in taken)


def make_item(user: User, number: int, definition: Definition, name: str) -> Item:
    """One server with what still has to be filled in: its inputs, and what its kind cannot do without."""
    connector = with_inputs(state().connectors[definition.kind], definition.inputs, ())
    typed = definition.to_typed(connector.fields)
    fields = tuple(
        field
        for field in connector.fields
        if field.inside or (field.required and is_asked(field, typed) and not typed.get(field.name))
    )
    return Item(number, definition, connector, fields, name, may_define(user, definition.kind))


def is_asked(field: Field, typed: Mapping[str, str]) -> bool:
    """Whether a field counts in this definition."""
    return field.when is None or typed.get(field.when[0]) == field.when[1]


def shown_form(desk: Desk) -> Connector:
    """All fields of the page as one form, so that it is shown and carried like any."""
    fields = [replace(field, name=item.key(field.name), when=None) for item in desk.items for field in item.fields]
    return Connector("import", "", "", tuple(fields))


# --- the page ---


def show(desk: Desk, status: int = 200, *, error: str = "", errors: dict[str, str] | None = None) -> Response:
    """The page to paste into, or what a document would make."""
    if not desk.items:
        needs_login = may_define(desk.user, COMMAND) and not is_fresh()
        return page(
            "import.html", status, error=error, text=request.form.get("text", ""), needs_login=needs_login, next=next_page()
        )
    typed = read_typed(desk) if request.form.get("action") == "save" else None
    form, errors = shown_form(desk), errors or find_faults(desk)
    lines = list_lines(form, typed, None, errors)
    return page(
        "import_servers.html",
        status,
        desk=desk,
        document=state().vault.seal(json.dumps({"source": desk.source, "text": desk.text}).encode(), "document", desk.user.id),
        typed_secrets=seal_typed_secrets(state().vault, form, typed or {}, errors, desk.user.id, "import"),
        lines={item.number: lines_of(item, lines) for item in desk.items},
        wanted={item.number: is_wanted(item, typed) for item in desk.items},
        names={item.number: (typed or {}).get(item.key("connection_name"), item.name) for item in desk.items},
        profiles=list_profiles(state().db, desk.user.id),
        profile=request.form.get("profile"),
        error=error,
        errors=errors,
        next=next_page(),
    )


def lines_of(item: Item, lines: list[Line]) -> list[Line]:
    """The lines of the form that belong to one server."""
    return [line for line in lines if line.field.name.startswith(item.key(""))]


def is_wanted(item: Item, typed: Mapping[str, str] | None) -> bool:
    """Whether the box of a server is ticked."""
    if typed is not None:
        return bool(typed.get(item.key("take")))
    return item.may_make and item.definition.is_wanted


def find_faults(desk: Desk) -> dict[str, str]:
    """What is wrong with the document itself, before anybody has filled in anything."""
    errors: dict[str, str] = {}
    for item in desk.items:
        try:
            read_draft(item.connector, item.definition.to_typed(item.connector.fields))
        except InvalidInput as mistake:
            known = {field.name for field in item.fields} | {"connection_name"}
            errors |= place_errors(item, {name: text for name, text in mistake.fields.items() if name not in known})
    return errors


def place_errors(item: Item, fields: Mapping[str, str]) -> dict[str, str]:
    """Mistakes where the page shows them: beside their field, or at the head of their server."""
    shown = {field.name for field in item.fields} | {"connection_name"}
    placed = {item.key(name): text for name, text in fields.items() if name in shown}
    labels = {field.name: field.label for field in item.connector.fields}
    others = [f"{labels[name]}: {text}" if name in labels else text for name, text in fields.items() if name not in shown]
    return placed | ({item.key("take"): " ".join(others)} if others else {})


# --- what was filled in ---


def read_typed(desk: Desk) -> dict[str, str]:
    """What was typed, with the secrets of the round before where none was typed anew."""
    return restore_typed_secrets(state().vault, request.form.to_dict(), desk.user.id, "import")


def read_drafts(desk: Desk) -> list[tuple[Item, Draft]]:
    """The servers that are wanted, checked and complete. Raises InvalidInput with every mistake."""
    typed, errors, drafts = read_typed(desk), {}, []
    for item in desk.items:
        if not is_wanted(item, typed):
            continue
        check_may_define(desk.user, item.definition.kind, "/connections/import")
        names = {"connection_name", *(field.name for field in item.fields)}
        own = {"connection_name": item.name} | {name: typed[item.key(name)] for name in names if typed.get(item.key(name))}
        try:
            drafts.append((item, read_item(item, item.definition.to_typed(item.connector.fields) | own)))
        except InvalidInput as mistake:
            errors |= place_errors(item, mistake.fields or {"take": str(mistake)})
    if errors:
        raise InvalidInput("Please look at the marked fields.", errors)
    if not drafts:
        raise InvalidInput("Choose at least one.")
    return drafts


def read_item(item: Item, typed: Mapping[str, str]) -> Draft:
    """One server as a draft. Raises InvalidInput, also if it could not be talked to as it is."""
    draft = read_draft(item.connector, typed)
    if draft.settings.get("args", []) != list(item.definition.settings.get("args", [])):
        raise InvalidInput("An argument is empty, or begins or ends with a blank.")
    try:
        check_draft(state().db, state().vault, state().fetch, draft, None)
    except ToolError as mistake:
        raise InvalidInput(str(mistake)) from None
    return draft


# --- what the buttons do ---


def read_document(desk: Desk) -> Response:
    """Show what a pasted document would make."""
    return show(lay_out(desk.user, "pasted", request.form.get("text", "")))


def save(desk: Desk) -> Response:
    """Make every server that is ticked, all or nothing, and let each join the profile."""
    if not desk.items:
        raise InvalidInput("Paste it again, please: the page was open for too long.")
    drafts, profile = read_drafts(desk), find_profile(desk.user)
    try:
        made = make_all(desk, profile, drafts)
    except InvalidInput:
        made = find_twins(desk.user, drafts)
        if not all(made):
            raise
    kinds = (state().connectors[draft.connector] for _, draft in drafts)
    look_at_servers(*zip(kinds, made, strict=True))
    only = get_connection(state().db, desk.user.id, made[0]) if len(made) == 1 else None
    return see_other(page_after_making(only, next_page()) if only else next_page())


def find_twins(user: User, drafts: list[tuple[Item, Draft]]) -> list[str]:
    """What the first click of a double one has made of each; '' for what it has not."""
    twins = (find_twin(state().db, state().vault, user.id, draft, after=now() - REPEAT_SECONDS) for _, draft in drafts)
    return [twin.id if twin else "" for twin in twins]


def make_all(desk: Desk, profile: Profile, drafts: list[tuple[Item, Draft]]) -> list[str]:
    """Make all of them or none; answers their ids. Raises InvalidInput if a name is taken."""
    made = []
    with state().db.write() as run:
        confirm_login(run)
        for item, draft in drafts:
            try:
                copy, values = item.definition.to_json(), item.definition.secrets
                made.append(
                    join(run, state().vault, profile, draft, now(), source=desk.source, definition=copy, values=values)
                )
            except InvalidInput as mistake:
                raise InvalidInput("Please look at the marked fields.", place_errors(item, mistake.fields)) from None
    return made


def find_profile(user: User) -> Profile:
    """The profile that they join."""
    profiles: list[Any] = [item for item in list_profiles(state().db, user.id) if item.slug == request.form.get("profile")]
    if not profiles:
        raise InvalidInput("Please choose a profile.")
    return profiles[0]


ACTIONS: dict[str, Callable[[Desk], Response]] = {"read": read_document, "save": save}
