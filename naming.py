"""Names under which a profile shows tools and prompts: plain, short, and each of one feature only. Knows no feature."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from hashlib import sha256

NAME_MAX = 64  # what assistants accept
RESERVED = {"tool": frozenset({"search", "fetch"})}  # what ChatGPT calls for its own purposes

Key = tuple[str, str, str]  # connection's id, kind, the feature's own name


@dataclass(frozen=True)
class Claim:
    """What there is to say for a feature when names are given away. `chosen`: by a person, who was told if it was taken."""

    key: Key
    prefix: str
    since: int  # when the profile first had it
    chosen: str | None = None

    @property
    def order(self) -> tuple[bool, int, bool, Key]:
        """Who comes first: a person's choice, then whoever was there first; never a matter of what a server lists first."""
        return self.chosen is None, self.since, plain_name(self.key[2]) != self.key[2], self.key


def plain_name(name: str) -> str:
    """A name in letters that every assistant accepts; one that has none of them gets a digest."""
    plain = re.sub(r"[^a-zA-Z0-9_-]+", "_", name)
    return plain if re.search(r"[a-zA-Z0-9]", plain) else "unnamed_" + digest(name)


def exposed_name(prefix: str, name: str) -> str:
    """The name under which a feature is listed; one that is too long ends in a digest, so that it stays unique."""
    plain = plain_name(name)
    full = f"{prefix}_{plain}" if prefix else plain
    return full if len(full) <= NAME_MAX else with_digest(full, f"{prefix}_{name}" if prefix else name)


def with_digest(name: str, source: str) -> str:
    """`name`, cut if need be, and behind it a digest of what it came from."""
    return name[: NAME_MAX - 9] + "_" + digest(source)


def digest(text: str) -> str:
    """A few letters that stand for a text."""
    return sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:8]


def short_key(kind: str, name: str) -> str:
    """What stands for a feature in an address or a form; within one connection no two are alike."""
    return sha256(f"{kind}\n{name}".encode("utf-8", "surrogatepass")).hexdigest()[:16]


def settle_names(claims: Iterable[Claim], kind: str) -> dict[Key, str]:
    """A name for each feature of a kind. Who claims one that is taken gets it with a digest of where it comes from: that of the
    connection's id, too, which no server knows, so that none can lie in wait for another's name.
    """
    names: dict[Key, str] = {}
    taken = set(RESERVED.get(kind, ()))
    for claim in sorted(claims, key=lambda claim: claim.order):
        wanted = claim.chosen or exposed_name(claim.prefix, claim.key[2])
        if wanted in RESERVED.get(kind, ()):
            wanted = f"{wanted}_{kind}"
        names[claim.key] = free_name(wanted, "\n".join(claim.key), taken)
        taken.add(names[claim.key])
    return names


def free_name(wanted: str, source: str, taken: set[str]) -> str:
    """`wanted`, or with a digest of `source` if it is taken; of a digest that another name ends in, too, there is another one."""
    name = wanted
    while name in taken:
        name, source = with_digest(wanted, source), source + "\n"
    return name
