"""The one door for outgoing HTTP: guards addresses, sizes and time. Knows no service and no database."""

from __future__ import annotations

from typing import Any


class Fetcher:
    """Placeholder for the import until the real one lands in this same session."""

    def request(self, *args: Any, **kwargs: Any) -> Any:
        raise NotImplementedError
