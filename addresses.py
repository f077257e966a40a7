"""Where a URL leads and what kind of IP address that is, by their text alone. Resolves nothing and opens nothing."""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass
from enum import Enum


class Kind(Enum):
    """What may be done with an address."""

    PUBLIC = "public"
    PRIVATE = "private"  # reached only where the owner lists its host and port
    NEVER = "never"  # refused even then


# The first network that holds an address judges it, so exceptions stand before the rule they are taken from.
# From IANA's special-purpose registries (RFC 6890); `ipaddress.is_global` lets several of these through.
TABLE: tuple[tuple[str, Kind, str], ...] = (
    # cloud metadata, which hands out credentials to whoever asks from inside
    ("100.100.100.200/32", Kind.NEVER, "cloud metadata (Alibaba)"),
    ("168.63.129.16/32", Kind.NEVER, "cloud metadata (Azure WireServer, inside public space)"),
    ("169.254.0.0/16", Kind.NEVER, "link-local, cloud metadata (RFC 3927)"),
    ("fd00:42::42/128", Kind.NEVER, "cloud metadata (Scaleway)"),
    ("fd00:c1::a9fe:a9fe/128", Kind.NEVER, "cloud metadata (Oracle)"),
    ("fd00:ec2::/32", Kind.NEVER, "cloud metadata (Amazon)"),
    ("fd20:ce::254/128", Kind.NEVER, "cloud metadata (Google)"),
    ("fe80::/10", Kind.NEVER, "link-local (RFC 4291 §2.5.6)"),
    # private: a person's own machines
    ("10.0.0.0/8", Kind.PRIVATE, "private use (RFC 1918)"),
    ("100.64.0.0/10", Kind.PRIVATE, "shared address space (RFC 6598)"),
    ("127.0.0.0/8", Kind.PRIVATE, "loopback (RFC 1122 §3.2.1.3)"),
    ("172.16.0.0/12", Kind.PRIVATE, "private use (RFC 1918)"),
    ("192.168.0.0/16", Kind.PRIVATE, "private use (RFC 1918)"),
    ("::1/128", Kind.PRIVATE, "loopback (RFC 4291 §2.5.3)"),
    ("fc00::/7", Kind.PRIVATE, "unique local (RFC 4193)"),
    # the rest of IPv4 that is no public host
    ("0.0.0.0/8", Kind.NEVER, "this network (RFC 791 §3.2)"),
    ("192.0.0.0/24", Kind.NEVER, "IETF protocol assignments (RFC 6890)"),
    ("192.0.2.0/24", Kind.NEVER, "documentation (RFC 5737)"),
    ("192.31.196.0/24", Kind.NEVER, "AS112 service (RFC 7535)"),
    ("192.52.193.0/24", Kind.NEVER, "automatic multicast tunneling (RFC 7450)"),
    ("192.88.99.0/24", Kind.NEVER, "6to4 relay anycast (RFC 7526)"),
    ("192.175.48.0/24", Kind.NEVER, "AS112 service (RFC 7534)"),
    ("198.18.0.0/15", Kind.NEVER, "benchmarking (RFC 2544)"),
    ("198.51.100.0/24", Kind.NEVER, "documentation (RFC 5737)"),
    ("203.0.113.0/24", Kind.NEVER, "documentation (RFC 5737)"),
    ("224.0.0.0/4", Kind.NEVER, "multicast (RFC 5771)"),
    ("240.0.0.0/4", Kind.NEVER, "reserved and broadcast (RFC 1112 §4)"),
    ("0.0.0.0/0", Kind.PUBLIC, "public"),
    # the parts of 2000::/3 that are no public host, or that carry an IPv4 address inside
    ("2001::/23", Kind.NEVER, "IETF protocol assignments: Teredo, ORCHID, benchmarking (RFC 2928, RFC 4380)"),
    ("2001:db8::/32", Kind.NEVER, "documentation (RFC 3849)"),
    ("2002::/16", Kind.NEVER, "6to4 (RFC 3056)"),
    ("2620:4f:8000::/48", Kind.NEVER, "AS112 service (RFC 7534)"),
    ("3fff::/20", Kind.NEVER, "documentation (RFC 9637)"),
    ("2000::/3", Kind.PUBLIC, "public (RFC 4291 §2.4)"),
    # everything else in IPv6 would be refused by the last line; these are named for whoever reads the error
    ("::/128", Kind.NEVER, "unspecified (RFC 4291 §2.5.2)"),
    ("::ffff:0:0/96", Kind.NEVER, "IPv4-mapped (RFC 4291 §2.5.5.2)"),
    ("::/96", Kind.NEVER, "IPv4-compatible (RFC 4291 §2.5.5.1)"),
    ("64:ff9b::/96", Kind.NEVER, "NAT64 (RFC 6052)"),
    ("64:ff9b:1::/48", Kind.NEVER, "local NAT64 (RFC 8215)"),
    ("100::/64", Kind.NEVER, "discard-only (RFC 6666)"),
    ("5f00::/16", Kind.NEVER, "segment routing (RFC 9602)"),
    ("fec0::/10", Kind.NEVER, "site-local (RFC 3879)"),
    ("ff00::/8", Kind.NEVER, "multicast (RFC 4291 §2.7)"),
    ("::/0", Kind.NEVER, "not assigned to anybody (RFC 4291 §2.4)"),
)
NETWORKS = tuple((ipaddress.ip_network(network), kind, meaning) for network, kind, meaning in TABLE)


def judge(address: str) -> tuple[Kind, str]:
    """What `address` is: its kind, and what its network is for. ValueError if it is not an IP address."""
    parsed = ipaddress.ip_address(address)
    return next((kind, meaning) for network, kind, meaning in NETWORKS if parsed in network)


# --- URLs; ValueError carries a sentence for a person ---

MAX_URL_LENGTH = 2048
# Visible ASCII but no backslash (RFC 3986 §2), no user name (§3.2.1), no fragment (§3.5).
URL = re.compile(
    r"(https?)://([a-z0-9._-]+|\[[0-9a-f:.]+\])(?::([0-9]{1,5}))?((?:[/?][!\"$-\[\]-~]*)?)", re.IGNORECASE | re.ASCII
)
LABEL = re.compile(r"[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?")
DOT_SEGMENT = re.compile(r"/(\.|%2e){1,2}(/|$)", re.IGNORECASE)
PORTS = {"https": 443, "http": 80}


@dataclass(frozen=True)
class Target:
    """Where a checked URL leads: `host` is lower case, without brackets."""

    scheme: str
    host: str
    port: int

    @property
    def name(self) -> str:
        """As it stands in ALLOW_PRIVATE_UPSTREAMS."""
        return join_host(self.host, self.port)


def parse_url(url: str) -> Target:
    """The parts of a URL that hides nothing; raises ValueError for any other."""
    match = URL.fullmatch(url) if isinstance(url, str) and len(url) <= MAX_URL_LENGTH else None
    if match is None:
        raise ValueError(
            "This is not an address that can be fetched: it has to look like https://host/path, in at most 2048 plain characters,"
            " without a user name, a fragment, blanks or backslashes."
        )
    scheme, host, port = match[1].lower(), parse_host(match[2].lower()), match[3]
    if port is not None and not 1 <= int(port) <= 65535:
        raise ValueError(f"{host} has no port {port}: ports go from 1 to 65535.")
    if DOT_SEGMENT.search(match[4].partition("?")[0]):  # an argument that climbs out of its place in a path
        raise ValueError(f"The address at {host} has . or .. as a part of its path.")
    return Target(scheme, host, int(port) if port else PORTS[scheme])


def parse_host(host: str) -> str:
    """A name, or an IP address in its usual form; raises ValueError for forms such as 0x7f.1, 2130706433 or 010.0.0.1."""
    labels = host.split(".")
    try:
        if host.startswith("["):
            return str(ipaddress.IPv6Address(host[1:-1]))
        if labels[-1].isdecimal() or labels[-1].startswith("0x"):  # what resolvers would take for an IPv4 address
            return str(ipaddress.IPv4Address(host))
    except ValueError:
        raise ValueError(f"{host} is not an IP address in its usual form.") from None
    if len(host) > 253 or not all(LABEL.fullmatch(label) for label in labels):  # RFC 1035 §2.3.4
        raise ValueError(f"{host} is not a host name.")
    return host


def join_host(host: str, port: int) -> str:
    """`host:port`, with brackets around an IPv6 address (RFC 3986 §3.2.2)."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def is_address(text: str) -> bool:
    """Whether `text` is an IP address."""
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True
