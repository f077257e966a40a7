"""What a person can grant: their profiles, each with what its feature sets would let through. Knows no page."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from db import Database
from searching import count_own_tools
from shelf import count_tools, list_entries
from store.profiles import FeatureSet, Member, Profile, list_feature_sets, list_members
from tools import Connector


@dataclass(frozen=True)
class Offer:
    """A profile to choose; `sets` has each feature set with how many tools it lets through, and how many can change something."""

    profile: Profile
    members: list[Member]
    sets: list[tuple[FeatureSet, int, int]]
    is_granted: bool


def describe_offer(
    db: Database,
    connectors: Mapping[str, Connector],
    profile: Profile,
    *,
    is_granted: bool = False,
    joining: Connector | None = None,
) -> Offer:
    """What there is to say of a profile before it is granted; `joining` is about to get a connection in it."""
    members = [member for member in list_members(db, profile.id) if member.is_enabled]
    entries = list_entries(db, connectors, profile.user_id, profile.id, None)
    items = [entry.item for entry in entries if entry.item.kind == "tool" and entry.is_shown]
    tools = [item.feature for item in items] + list(joining.tools if joining else ())
    sets = []
    for chosen in list_feature_sets(db, profile.id):
        kinds = frozenset({chosen.kind})
        number, writing = count_tools(tools, kinds)
        own = count_own_tools(items, connectors, joining, kinds) if profile.is_searchable else 0
        sets.append((chosen, number + own, writing))
    return Offer(profile, members, sets, is_granted)
