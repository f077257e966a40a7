"""watches.py: who wants what in a session that several share. How it comes about with servers is in test_subscriptions.py."""

from __future__ import annotations

from types import SimpleNamespace

from upstream import Session
from watches import Place, Watches

ONE, TWO = frozenset({"one:"}), frozenset({"two:"})


class Link:
    """A session with a server that agrees to everything, until it forgets it all."""

    def __init__(self) -> None:
        self.is_alive, self.watched, self.asked = True, frozenset(), []
        self.greeting = SimpleNamespace(is_modern=True)

    def watch(self, uris: frozenset[str]) -> frozenset[str]:
        self.asked.append(uris)
        self.watched = uris
        return uris


def test_who_leaves_while_nothing_holds_is_not_asked_for_again(db):
    watches, link = Watches(db, None), Link()
    session = Session(link)
    places = [Place(("c1", key), session=session) for key in ("{}", '{"roots": {}}')]
    assert [watches._share(place.key, session, wanted) for place, wanted in zip(places, (ONE, TWO), strict=True)] == [ONE, TWO]
    link.watched = frozenset()  # the server has ended the stream
    watches._let_go(places[0])
    assert watches._share(places[1].key, session, TWO) == TWO
    assert link.asked == [ONE, ONE | TWO, TWO]
    watches._let_go(places[1])
    assert link.asked[3:] == [frozenset()]
