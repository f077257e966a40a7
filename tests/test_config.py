"""config.py: a bad value stops the boot with one clear line that never shows the value."""

from __future__ import annotations

from base64 import b64encode, urlsafe_b64encode
from pathlib import Path

import pytest
from conftest import MASTER_KEY

from config import load_settings
from errors import ConfigError


def load(**environ: str):
    return load_settings({"MASTER_KEY": MASTER_KEY} | environ, dotenv=None)


def test_the_defaults_are_a_loopback_server():
    settings = load()
    assert (settings.public_url, settings.mcp_url) == ("http://localhost:8000", "http://localhost:8000/mcp")
    assert (settings.host, settings.port, settings.workers, settings.threads) == ("127.0.0.1", 8000, 1, 32)
    assert settings.database_url == "sqlite:///data/postern.db"
    assert (settings.code_ttl_seconds, settings.token_ttl_seconds, settings.refresh_grace_seconds) == (60, 3600, 30)
    assert (settings.refresh_ttl_seconds, settings.session_max_seconds) == (90 * 86400, 365 * 86400)
    assert settings.is_loopback


def test_the_public_url_follows_the_port():
    assert load(PORT="9000").public_url == "http://localhost:9000"


@pytest.mark.parametrize(
    ("name", "value", "reason"),
    [
        ("MASTER_KEY", "short", "32 random bytes"),
        ("MASTER_KEY", "zz" * 32, "32"),
        ("MASTER_KEY", "00" * 32, "placeholder"),
        ("MASTER_KEY", "0123456789abcdef" * 4, "placeholder"),
        ("MASTER_KEY", bytes(range(32)).hex(), "placeholder"),
        ("MASTER_KEY", b"this is a passphrase of 32 chars".hex(), "placeholder"),
        ("MASTER_KEY", b64encode(b"x" * 32).decode(), "placeholder"),
        ("MASTER_KEY", MASTER_KEY[:62], "32"),
        ("MASTER_KEY_PREVIOUS", "changeme", "32"),
        ("PUBLIC_URL", "http://postern.example", "https"),
        ("PUBLIC_URL", "https://postern.example/path", "without path"),
        ("PUBLIC_URL", "https://user@postern.example", "must look like"),
        ("PUBLIC_URL", "postern.example", "must look like"),
        ("PUBLIC_URL", "https://postern.example?x=1", "must look like"),
        ("PUBLIC_URL", "https://postern.example:0", "port 0"),
        ("PUBLIC_URL", "https://postern.example:65536", "out of range"),
        ("DATABASE_URL", "mysql://localhost/db", "sqlite:///"),
        ("TOKEN_TTL_SECONDS", "0", "whole number"),
        ("TOKEN_TTL_SECONDS", "1h", "whole number"),
        ("CODE_TTL_SECONDS", "3600", "600"),
        ("PORT", "70000", "65535"),
        ("HOST", "everywhere", "IP address"),
        ("REGISTRATION", "maybe", "open, closed"),
        ("ALLOW_STDIO", "yes", "0 or 1"),
        ("CUSTOM_DIR", "/no/such/folder", "a folder that is there"),
        ("REGISTRY_URL", "registry.example", "address"),
        ("REDIRECT_URI_ALLOWLIST_MODE", "regex", "exact, prefix, host"),
        ("GOOGLE_OAUTH_CLIENT_ID", "two words", "one word"),
        ("GOOGLE_OAUTH_CLIENT_SECRET", "sécret", "one word"),
        ("ALLOWED_ORIGINS", "*", "no *"),
        ("ALLOWED_ORIGINS", "https://a.example/path", "origins"),
        ("ALLOW_PRIVATE_UPSTREAMS", "192.168.1.5", "host:port"),
        ("LOG_LEVEL", "chatty", "debug, info"),
        ("TRUST_PROXY", "yes", "whole number"),
    ],
)
def test_it_refuses_a_bad_value_in_one_line_without_showing_it(name: str, value: str, reason: str):
    with pytest.raises(ConfigError) as refusal:
        load(**{name: value})
    text = str(refusal.value)
    assert text.startswith(name + ": ")
    assert reason in text
    assert "\n" not in text
    assert name != "MASTER_KEY" or value not in text


def test_it_refuses_to_go_without_a_master_key():
    with pytest.raises(ConfigError, match=r"^MASTER_KEY is missing"):
        load_settings({}, dotenv=None)


@pytest.mark.parametrize("encode", [bytes.hex, lambda key: b64encode(key).decode(), lambda key: urlsafe_b64encode(key).decode()])
def test_a_master_key_may_be_hex_or_base64(encode):
    key = bytes.fromhex("fb" + MASTER_KEY[2:])
    assert load_settings({"MASTER_KEY": encode(key)}, dotenv=None).master_key == key


def test_secrets_do_not_show_in_the_settings_text():
    settings = load(OWNER_PASSWORD="a secret password")
    assert "a secret password" not in repr(settings)
    assert repr(bytes.fromhex(MASTER_KEY)) not in repr(settings)


def test_a_secret_may_lie_in_a_file(tmp_path: Path):
    (tmp_path / "key").write_text(MASTER_KEY + "\n")
    settings = load_settings({"MASTER_KEY_FILE": str(tmp_path / "key")}, dotenv=None)
    assert settings.master_key == bytes.fromhex(MASTER_KEY)


def test_a_secret_file_that_cannot_be_read_stops_the_boot(tmp_path: Path):
    with pytest.raises(ConfigError, match=r"^MASTER_KEY_FILE: cannot read"):
        load_settings({"MASTER_KEY_FILE": str(tmp_path / "nothing")}, dotenv=None)


def test_the_environment_wins_over_the_dotenv_file(tmp_path: Path):
    dotenv = tmp_path / ".env"
    dotenv.write_text(f"# mine\nMASTER_KEY={MASTER_KEY}\nexport PORT='9001'\nTHREADS=\"16\"\n\n")
    settings = load_settings({"PORT": "9002"}, dotenv)
    assert (settings.port, settings.threads) == (9002, 16)


def test_a_dotenv_line_that_is_no_setting_is_named(tmp_path: Path):
    (tmp_path / ".env").write_text("MASTER_KEY\n")
    with pytest.raises(ConfigError, match="line 1: expected NAME=value"):
        load_settings({}, tmp_path / ".env")


def test_an_old_name_of_the_database_is_understood():
    assert load(DATABASE_PATH="/data/old.db").database_url == "sqlite:////data/old.db"


@pytest.mark.parametrize(
    ("public_url", "host", "accepted"),
    [
        ("http://localhost:8000", "localhost:8000", True),
        ("http://localhost:8000", "127.0.0.1:9999", True),
        ("http://localhost:8000", "[::1]:8000", True),
        ("http://localhost:8000", "evil.example", False),
        ("http://localhost:8000", "localhost.evil.example", False),
        ("https://postern.example", "postern.example", True),
        ("https://postern.example", "POSTERN.example:443", True),
        ("https://postern.example", "postern.example:8443", False),
        ("https://postern.example", "localhost", False),
        ("https://postern.example", "postern.example/x", False),
        ("https://postern.example", "postern.example@evil", False),
        ("https://postern.example", "", False),
    ],
)
def test_only_our_own_host_is_accepted(public_url: str, host: str, accepted: bool):
    assert load(PUBLIC_URL=public_url).accepts_host(host) is accepted


@pytest.mark.parametrize(
    ("text", "public_url"),
    [
        ("https://Postern.example:443/", "https://postern.example"),
        ("https://postern.example:80", "https://postern.example:80"),
        ("http://localhost:80", "http://localhost"),
        ("http://[::1]:8000", "http://[::1]:8000"),
    ],
)
def test_the_public_url_is_as_browsers_write_it(text: str, public_url: str):
    assert load(PUBLIC_URL=text).public_url == public_url


@pytest.mark.parametrize(
    ("public_url", "origin", "accepted"),
    [
        ("https://postern.example", None, True),
        ("https://postern.example", "https://postern.example", True),
        ("https://postern.example", "https://app.example", True),
        ("https://postern.example", "https://evil.example", False),
        ("https://postern.example", "https://postern.example.evil", False),
        ("https://postern.example", "null", False),
        ("https://postern.example", "http://localhost:3000", False),
        ("http://localhost:8000", "http://127.0.0.1:6274", True),
        ("http://localhost:8000", "http://evil.example", False),
        ("http://localhost:8000", "http://localhost@evil.example", False),
    ],
)
def test_only_known_origins_are_accepted(public_url: str, origin: str | None, accepted: bool):
    assert load(PUBLIC_URL=public_url, ALLOWED_ORIGINS="https://app.example").accepts_origin(origin) is accepted


def test_what_children_must_not_read_is_known(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "key").write_text(MASTER_KEY)
    settings = load_settings({"MASTER_KEY_FILE": "key", "DATABASE_URL": "sqlite:///data/postern.db"}, Path(".env"))
    assert settings.data_folder == tmp_path / "data"
    assert set(settings.private_paths) == {f"{tmp_path}/.env", f"{tmp_path}/key", f"{tmp_path}/data", "/run/secrets"}
    assert load(DATABASE_URL="sqlite:////srv/x/postern.db").private_paths == ("/srv/x", "/run/secrets")


def test_a_database_beside_the_program_is_hidden_without_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("config.__file__", str(tmp_path / "config.py"))
    for name in ("postern.db", "postern.db-wal", "postern.db.before-1", "config.py"):
        (tmp_path / name).touch()
    hidden = set(load(DATABASE_URL=f"sqlite:///{tmp_path}/postern.db").private_paths)
    assert hidden == {f"{tmp_path}/postern.db", f"{tmp_path}/postern.db-wal", f"{tmp_path}/postern.db.before-1", "/run/secrets"}
