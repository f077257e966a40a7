"""What connectors share when there is more than one answer: pages one after the other, and copies. Knows no service."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from hashlib import sha256
from typing import Any

from crypto import new_id
from tools import Cache, Call

MARK_SECONDS = 2 * 86_400  # longer than any copy is good for

# mark of a page -> (what is on it, the mark of the next one; None: it was the last)
Ask = Callable[[Any], tuple[list[dict[str, Any]], Any]]


@dataclass(frozen=True)
class Gathered:
    """What was found, and whether that is all there is."""

    items: list[dict[str, Any]]
    is_complete: bool


def gather(
    ask: Ask,
    *,
    call: Call,
    what: str,
    first: Any = None,
    limit: float = math.inf,
    pages: int = 10,
    accept: Callable[[dict[str, Any]], bool] | None = None,
) -> Gathered:
    """The first things on a service's pages that are accepted: at most `limit`, from at most so many pages. Reports progress."""
    items: list[dict[str, Any]] = []
    mark = first
    for count in range(1, pages + 1):
        found, mark = ask(mark)
        items += [item for item in found if accept is None or accept(item)]
        if mark is None or len(items) > limit:
            return Gathered(items[: int(min(limit, len(items)))], mark is None and len(items) <= limit)
        call.progress(count, message=f"{len(items)} {what} read")
    return Gathered(items, is_complete=False)


class Copies:
    """Copies of what a service answered, each kind with its life in seconds; 0 for what has to be true at this moment.

    What is kept lies under the mark of the last change: an answer that was on its way while something changed is found by nobody.
    """

    def __init__(self, cache: Cache, name: str, lives: Mapping[str, int]):
        self._cache, self._name, self._lives = cache, name, lives
        self._marks: dict[str, Any] = {}

    def key(self, kind: str, *asked: Any) -> str:
        """Where the answer to a question lies, to be taken before it is asked.

        Everything that decides what is answered belongs into it: the account, too.
        """
        question = json.dumps([self._mark(kind), *asked], sort_keys=True)
        return f"{self._name}:{kind}:{sha256(question.encode()).hexdigest()}"

    def find(self, kind: str, key: str) -> Any:
        """A copy that is fresh, or None."""
        copy = self._cache.get(key) if self._lives[kind] else None
        return copy.value if copy and copy.fresh else None

    def keep(self, kind: str, key: str, value: Any) -> None:
        """Keep an answer for as long as its kind is good."""
        if life := self._lives[kind]:
            self._cache.put(key, value, fresh_seconds=life, keep_seconds=life)

    def remember(self, kind: str, asked: tuple[Any, ...], ask: Callable[[], Any]) -> Any:
        """A copy of the answer to a question, or what `ask` answers now, which is kept."""
        key = self.key(kind, *asked)
        value = self.find(kind, key)
        if value is None:
            value = ask()
            self.keep(kind, key, value)
        return value

    def drop(self, *kinds: str) -> None:
        """Forget what a change may have made stale."""
        for kind in kinds:
            self._marks[kind] = new_id()
            self._cache.put(self._mark_key(kind), self._marks[kind], fresh_seconds=MARK_SECONDS, keep_seconds=MARK_SECONDS)
            self._cache.drop(f"{self._name}:{kind}:")

    def _mark(self, kind: str) -> Any:
        """What stands for the last change of a kind, as this call knows it; None if there was none."""
        if kind not in self._marks:
            copy = self._cache.get(self._mark_key(kind)) if self._lives[kind] else None
            self._marks[kind] = copy.value if copy else None
        return self._marks[kind]

    def _mark_key(self, kind: str) -> str:
        return f"{self._name}:changed:{kind}"
