"""A house for assistants to come to, and how they come: by the document that they publish, or by registering."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from actors import PASSWORD, Person
from conftest import MASTER_KEY, NOW
from house import Clock, Door, House
from web_of_clients import Signer, Web

from assistants import ASSISTANTS
from client_assertions import ASSERTION_TYPE
from config import load_settings
from smoke import Emulator, with_port

PORT = 51823


@pytest.fixture
def web() -> Web:
    return Web()


@pytest.fixture
def house(tmp_path: Path, web: Web) -> Iterator[House]:
    environ = {"MASTER_KEY": MASTER_KEY, "DATABASE_URL": f"sqlite:///{tmp_path}/house.db", "OWNER_PASSWORD": PASSWORD}
    built = House(load_settings(environ | {"TRUST_PROXY": "1"}, None), Clock(NOW), fetch=web)
    yield built
    built.close()


@pytest.fixture
def owner(house: House) -> Person:
    person = Person(house.url, session=house.session())
    person.sign_in()
    return person


class Installed(Emulator):
    """An assistant that has found its way, and knows its client id. With a `signer` it signs each request (RFC 7523)."""

    signer: Signer | None = None
    clock: Callable[[], float]

    def credentials(self) -> dict[str, str]:
        if self.signer is None:
            return super().credentials()
        signed = self.signer.sign(self.client_id, self.server["token_endpoint"], int(self.clock()))
        return super().credentials() | {"client_assertion_type": ASSERTION_TYPE, "client_assertion": signed}

    def sign_in(self, person: Person) -> None:
        """The person approves."""
        self.take_callback(person.decide(self.authorize_url()))

    def can_call(self) -> bool:
        """Whether the token at hand opens the door."""
        return self.call("tools/list").status == 200


@pytest.fixture
def arrive(house: House, web: Web) -> Callable[..., Installed]:
    """Lets an assistant come, from an address, with one of its redirect URIs; `document` stands in for what it publishes."""

    def come(
        name: str, *, by: str = "document", redirect: int = 0, address: str = "203.0.113.7", path: str = "/mcp",
        document: Mapping[str, Any] | None = None,
    ) -> Installed:  # fmt: skip
        facts = ASSISTANTS[name]
        assistant = Installed(Door(house, address), house.url + path, facts, PORT)
        assistant.clock = house.clock
        assistant.redirect_uri = with_port(facts.redirect_uris[redirect], PORT)
        for step in (assistant.knock, assistant.read_resource, assistant.read_server):
            step()
        if by == "registration":
            assistant.register()
        else:
            published = document or facts.document
            web.publish(published["client_id"], dict(published))
            assistant.client_id = published["client_id"]
        return assistant

    return come
