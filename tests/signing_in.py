"""A House whose Alice has a connection to a fake service, and the steps by which she signs in there. Holds no test."""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import parse_qsl, urlsplit

from conftest import MASTER_KEY
from fake_service import Service, follow
from household import House, send
from service_connector import CONNECTOR
from werkzeug.test import Client, TestResponse

from config import Settings, load_settings
from store.connections import Connection, Draft, get_connection, insert_connection, list_secrets, update_connection
from store.profiles import insert_member, list_profiles
from tools import Call
from upstream_tokens import UpstreamTokens, get_tokens


def settings_for(service: Service, folder: object, **environ: str) -> Settings:
    """Settings of a loopback server that may reach the service."""
    own = {"DATABASE_URL": f"sqlite:///{folder}/data/postern.db", "ALLOW_PRIVATE_UPSTREAMS": service.private}
    return load_settings({"MASTER_KEY": MASTER_KEY} | own | environ, dotenv=None)


@dataclass
class Desk:
    """Alice before her browser."""

    house: House
    service: Service
    browser: Client
    connection_id: str

    @property
    def connection(self) -> Connection:
        """Her connection, as it is now."""
        return get_connection(self.house.db, self.house.alice.id, self.connection_id)

    @property
    def tokens(self) -> UpstreamTokens:
        """What lets the connection in."""
        return get_tokens(self.house.state.sign_ins, self.connection)

    @property
    def secrets(self) -> dict[str, str]:
        """What is kept of it, opened."""
        return list_secrets(self.house.db, self.house.vault, self.connection_id)

    def leave(self, **values: str) -> TestResponse:
        """Press Connect."""
        return send(self.browser, f"/connections/{self.connection_id}/connect", **values)

    def come_back(self, location: str) -> TestResponse:
        """Go where the service sends the browser."""
        parts = urlsplit(location)
        return self.browser.get(f"{parts.path}?{parts.query}")

    def sign_in(self, **values: str) -> TestResponse:
        """All the way."""
        away = self.leave(**values)
        assert away.status_code == 303, away.text
        return self.come_back(follow(away.headers["Location"]))

    def asked(self, away: TestResponse) -> dict[str, str]:
        """The parameters with which the browser was sent away."""
        assert away.status_code == 303, away.text
        return dict(parse_qsl(urlsplit(away.headers["Location"]).query))

    def change(self, secrets: dict[str, str] | None = None, **settings: str) -> None:
        """Type in something else."""
        draft = Draft("service", self.connection.name, {**self.connection.settings, **settings}, secrets or {})
        with self.house.db.write() as run:
            update_connection(run, self.house.vault, self.house.alice.id, self.connection_id, draft, self.house.now)

    def call(self) -> dict:
        """Call the connection's tool, as a handler's context has it."""
        context = self.house.state.toolbox.context(self.connection, Call())
        return CONNECTOR.tools[0].run(context, {}).to_json()


def sit_down(house: House, service: Service, secrets: dict[str, str] | None = None, **settings: str) -> Desk:
    """Give Alice a connection, in her profile, and a browser."""
    draft = Draft("service", "My service", {"url": service.url} | settings, secrets or {})
    with house.db.write() as run:
        connection_id = insert_connection(run, house.vault, house.alice.id, draft, house.now)
        insert_member(run, list_profiles(house.db, house.alice.id)[0].id, connection_id, "service")
    return Desk(house, service, house.browser(house.alice), connection_id)
