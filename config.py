"""Settings: read once, from the environment first and then from `.env`. Knows no database and no web server."""

from __future__ import annotations

import base64
import binascii
import ipaddress
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from addresses import parse_url
from errors import ConfigError

USUAL_PORTS = {"http": 80, "https": 443}
LOOPBACK_NAMES = frozenset({"localhost", "127.0.0.1", "[::1]"})


@dataclass(frozen=True)
class Settings:
    """Everything a person can set. Times are in seconds; see README.md for the meaning of each."""

    master_key: bytes = field(repr=False)
    master_key_previous: bytes | None = field(repr=False)
    public_url: str
    database_url: str
    owner_password: str | None = field(repr=False)
    trust_proxy: int
    allowed_origins: tuple[str, ...]
    redirect_uri_allowlist: tuple[str, ...]
    redirect_uri_allowlist_mode: str
    code_ttl_seconds: int
    token_ttl_seconds: int
    refresh_ttl_seconds: int
    session_max_seconds: int
    refresh_grace_seconds: int
    registration: str
    allow_stdio: bool
    allow_stdio_unconfined: bool
    registry_url: str | None
    custom_dir: Path | None
    allow_private_upstreams: frozenset[str]
    google_oauth_client_id: str | None
    google_oauth_client_secret: str | None = field(repr=False)
    log_level: str
    host: str
    port: int
    workers: int
    threads: int
    secret_files: tuple[str, ...]  # whatever held a secret when it was read; no setting of its own

    @property
    def is_loopback(self) -> bool:
        """Whether PUBLIC_URL is this machine only, where plain http is allowed."""
        return is_loopback_host(urlsplit(self.public_url).netloc)

    @property
    def mcp_url(self) -> str:
        """The URL that people paste into an assistant: also the protected resource (RFC 9728 §2)."""
        return self.public_url + "/mcp"

    @property
    def data_folder(self) -> Path:
        """Where the database lies."""
        return Path(self.database_url.removeprefix("sqlite:///")).resolve().parent

    @property
    def children_folder(self) -> Path:
        """Where each command has a folder of its own."""
        return self.data_folder / "children"

    @property
    def private_paths(self) -> tuple[str, ...]:
        """What no child process may read: the database, the files that hold secrets, and where containers mount secrets.

        It is the whole folder of the database, unless the program lies in it too.
        """
        database = Path(self.database_url.removeprefix("sqlite:///")).resolve()
        whole = not Path(__file__).resolve().is_relative_to(self.data_folder)
        found = [self.data_folder] if whole else sorted(self.data_folder.glob(database.name + "*"))
        return (*self.secret_files, *map(str, found), "/run/secrets")

    def accepts_host(self, host: str | None) -> bool:
        """Whether a request's Host header is ours: that of PUBLIC_URL, or any loopback name if it is loopback."""
        if not host or not re.fullmatch(r"[A-Za-z0-9._-]+(:[0-9]{1,5})?|\[[0-9A-Fa-f:.]+\](:[0-9]{1,5})?", host):
            return False
        if self.is_loopback:
            return is_loopback_host(host)
        scheme, netloc = urlsplit(self.public_url)[:2]
        default = f":{USUAL_PORTS[scheme]}"
        return host.lower().removesuffix(default) == netloc.lower().removesuffix(default)

    def accepts_origin(self, origin: str | None) -> bool:
        """Whether a browser page of this Origin may talk to `/mcp`; no Origin means no browser."""
        if origin is None:
            return True
        if origin == self.public_url or origin in self.allowed_origins:
            return True
        return self.is_loopback and re.fullmatch(r"https?://[^/?#@\\\s]+", origin) is not None and is_loopback_host(
            origin.split("://", 1)[1]
        )


def is_loopback_host(netloc: str) -> bool:
    """Whether `host` or `host:port` names this machine."""
    return re.sub(r":[0-9]+$", "", netloc.lower()) in LOOPBACK_NAMES


# --- one parser for each kind of value; each raises ValueError with the reason ---


def parse_key(text: str) -> bytes:
    """32 random bytes, written as 64 hexadecimal digits or as base64."""
    if re.fullmatch(r"[0-9A-Fa-f]{64}", text):
        key = bytes.fromhex(text)
    else:
        standard = text.replace("-", "+").replace("_", "/")
        try:
            key = base64.b64decode(standard + "=" * (-len(text) % 4), validate=True)
        except binascii.Error:
            raise ValueError("must be 32 random bytes as 64 hex digits or base64; make one with: openssl rand -hex 32") from None
    if len(key) != 32:
        raise ValueError("must be exactly 32 bytes (64 hex digits, or base64); make one with: openssl rand -hex 32")
    steps = {(after - before) % 256 for before, after in pairwise(key)}
    if len(set(key)) < 16 or len(steps) == 1 or all(32 <= b < 127 for b in key):
        raise ValueError("looks like a placeholder or a passphrase, not random bytes; make one with: openssl rand -hex 32")
    return key


def parse_public_url(text: str) -> str:
    """The origin under which people reach us: https, or http on loopback; no path."""
    url = text.rstrip("/")
    parts = urlsplit(url)
    if not re.fullmatch(r"https?://([A-Za-z0-9.-]+|\[[0-9A-Fa-f:.]+\])(:[0-9]{1,5})?", url):
        raise ValueError("must look like https://postern.example.com, without path, query or user name")
    if parts.scheme == "http" and not is_loopback_host(parts.netloc):
        raise ValueError("must begin with https:// unless it is localhost")
    if parts.port == 0:  # and reading one that is too large raises ValueError
        raise ValueError("must not have port 0")
    usual = f":{USUAL_PORTS[parts.scheme]}"
    return parts.scheme + "://" + parts.netloc.lower().removesuffix(usual)  # as browsers and assistants write it


def parse_address(text: str) -> str:
    """Any address that can be fetched."""
    parse_url(text)
    return text


def parse_folder(text: str) -> Path:
    """A folder that is there."""
    if not Path(text).is_dir():
        raise ValueError("must name a folder that is there")
    return Path(text)


def parse_database_url(text: str) -> str:
    """`sqlite:///relative.db` or `sqlite:////absolute.db`; a bare path is taken as one."""
    if "://" not in text:
        return "sqlite:///" + text
    if not re.fullmatch(r"sqlite:///.+", text):
        raise ValueError("must begin with sqlite:/// (three slashes for a relative path, four for an absolute one)")
    return text


def parse_flag(text: str) -> bool:
    """1 or 0."""
    if text not in ("0", "1"):
        raise ValueError("must be 0 or 1")
    return text == "1"


def parse_seconds(text: str) -> int:
    """A number of seconds, at least one."""
    return parse_number(text, 1, 10 * 366 * 86400)


def parse_number(text: str, low: int, high: int) -> int:
    """A whole number between `low` and `high`."""
    if not re.fullmatch(r"[0-9]{1,12}", text) or not low <= int(text) <= high:
        raise ValueError(f"must be a whole number from {low} to {high}")
    return int(text)


def parse_list(text: str) -> tuple[str, ...]:
    """Words between commas or blanks."""
    return tuple(word for word in re.split(r"[,\s]+", text) if word)


def parse_origins(text: str) -> tuple[str, ...]:
    """Origins exactly as browsers send them: scheme://host[:port]."""
    for origin in parse_list(text):
        if not re.fullmatch(r"https?://[A-Za-z0-9.-]+(:[0-9]{1,5})?", origin):
            raise ValueError("must be a list of origins such as https://app.example.com (no path, no *)")
    return parse_list(text)


def parse_targets(text: str) -> frozenset[str]:
    """`host:port` pairs that upstreams and connectors may reach although they are private."""
    for target in parse_list(text):
        if not re.fullmatch(r"([A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\]):[0-9]{1,5}", target):
            raise ValueError("must be a list of host:port, such as 192.168.1.5:8123")
    return frozenset(target.lower() for target in parse_list(text))


def one_of(*words: str) -> Callable[[str], str]:
    """A parser that takes just these words."""

    def parse(text: str) -> str:
        if text.lower() not in words:
            raise ValueError("must be one of: " + ", ".join(words))
        return text.lower()

    return parse


def parse_word(text: str) -> str:
    """What another service has given us: one word of visible ASCII."""
    if not re.fullmatch(r"[!-~]{1,500}", text):
        raise ValueError("must be one word, as it was given")
    return text


def parse_host(text: str) -> str:
    """An address to listen on."""
    if text != "localhost":
        try:
            ipaddress.ip_address(text)
        except ValueError:
            raise ValueError("must be an IP address such as 127.0.0.1 or 0.0.0.0") from None
    return text


def ranged(low: int, high: int) -> Callable[[str], int]:
    """A parser for a whole number in a range."""
    return lambda text: parse_number(text, low, high)


SECRETS = frozenset({"MASTER_KEY", "MASTER_KEY_PREVIOUS", "OWNER_PASSWORD", "GOOGLE_OAUTH_CLIENT_SECRET"})

# name -> (parser, default as a person would write it; None: absent)
TABLE: dict[str, tuple[Callable[[str], Any], str | None]] = {
    "MASTER_KEY": (parse_key, None),
    "MASTER_KEY_PREVIOUS": (parse_key, None),
    "PORT": (ranged(1, 65535), "8000"),  # first, for PUBLIC_URL names it unless it says otherwise
    "PUBLIC_URL": (parse_public_url, "http://localhost:{PORT}"),
    "DATABASE_URL": (parse_database_url, "sqlite:///data/postern.db"),
    "OWNER_PASSWORD": (str, None),
    "TRUST_PROXY": (ranged(0, 5), "0"),
    "ALLOWED_ORIGINS": (parse_origins, ""),
    "REDIRECT_URI_ALLOWLIST": (parse_list, ""),
    "REDIRECT_URI_ALLOWLIST_MODE": (one_of("exact", "prefix", "host"), "exact"),
    "CODE_TTL_SECONDS": (ranged(1, 600), "60"),
    "TOKEN_TTL_SECONDS": (ranged(1, 86400), "3600"),
    "REFRESH_TTL_SECONDS": (parse_seconds, str(90 * 86400)),
    "SESSION_MAX_SECONDS": (parse_seconds, str(365 * 86400)),
    "REFRESH_GRACE_SECONDS": (ranged(0, 300), "30"),
    "REGISTRATION": (one_of("open", "closed"), "open"),
    "ALLOW_STDIO": (parse_flag, "0"),
    "ALLOW_STDIO_UNCONFINED": (parse_flag, "0"),
    "REGISTRY_URL": (parse_address, None),
    "CUSTOM_DIR": (parse_folder, None),
    "ALLOW_PRIVATE_UPSTREAMS": (parse_targets, ""),
    "GOOGLE_OAUTH_CLIENT_ID": (parse_word, None),
    "GOOGLE_OAUTH_CLIENT_SECRET": (parse_word, None),
    "LOG_LEVEL": (one_of("debug", "info", "warning", "error"), "info"),
    "HOST": (parse_host, "127.0.0.1"),
    "WORKERS": (ranged(1, 64), "1"),
    "THREADS": (ranged(2, 1024), "32"),
}
ALIASES = {"DATABASE_URL": "DATABASE_PATH"}


def load_settings(environ: Mapping[str, str], dotenv: Path | None = Path(".env")) -> Settings:
    """Read every setting: `environ` wins over the file `dotenv`; `NAME_FILE` names a file that holds a secret.

    Raises ConfigError with one line that names the setting and never its value.
    """
    words = read_dotenv(dotenv) if dotenv else {}
    words.update(environ)
    values = {name: read_setting(name, words) for name in TABLE}
    if values["MASTER_KEY"] is None:
        raise ConfigError("MASTER_KEY is missing: set it to 32 random bytes; make them with: openssl rand -hex 32")
    files = [*([dotenv] if dotenv else []), *(words[name + "_FILE"] for name in SECRETS if words.get(name + "_FILE"))]
    secret_files = tuple(str(Path(path).absolute()) for path in files)
    return Settings(**{name.lower(): value for name, value in values.items()}, secret_files=secret_files)


def read_setting(name: str, words: Mapping[str, str]) -> Any:
    """Find one setting's text and parse it; an empty text counts as absent."""
    parser, default = TABLE[name]
    text = words.get(name) or words.get(ALIASES.get(name, ""))
    if not text and name in SECRETS:
        text = read_secret_file(name, words)
    if not text:
        text = default.replace("{PORT}", words.get("PORT") or "8000") if default else default
    if text is None:
        return None
    try:
        return parser(text.strip())
    except ValueError as error:
        raise ConfigError(f"{name}: {error}") from None


def read_secret_file(name: str, words: Mapping[str, str]) -> str | None:
    """The content of the file that `NAME_FILE` names, without its last line break."""
    path = words.get(name + "_FILE")
    if not path:
        return None
    try:
        return Path(path).read_text().strip()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{name}_FILE: cannot read the file it names ({type(error).__name__})") from None


def read_dotenv(path: Path) -> dict[str, str]:
    """`NAME=value` lines; blank lines and lines that begin with # are skipped; one pair of quotes is taken off."""
    try:
        lines = path.read_text().splitlines()
    except FileNotFoundError:
        return {}
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: cannot be read ({type(error).__name__})") from None
    found = {}
    for number, line in enumerate(lines, 1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        match = re.fullmatch(r"\s*(?:export\s+)?([A-Z][A-Z0-9_]*)\s*=\s*(?:\"(.*)\"|'(.*)'|(.*?))\s*", line)
        if match is None:
            raise ConfigError(f"{path}, line {number}: expected NAME=value")
        found[match[1]] = next(value for value in (match[2], match[3], match[4]) if value is not None)
    return found
