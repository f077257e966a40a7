"""Makes the SDK believe that the revision named last on the command line is the newest there is. To be imported before it."""

from __future__ import annotations

import sys

from mcp_types import version

NEWEST = sys.argv[-1] if sys.argv[-1].startswith("20") else ""  # empty: the SDK's own

if NEWEST:
    version.MODERN_PROTOCOL_VERSIONS = ()
    version.HANDSHAKE_PROTOCOL_VERSIONS = tuple(known for known in version.HANDSHAKE_PROTOCOL_VERSIONS if known <= NEWEST)
    version.LATEST_HANDSHAKE_VERSION = version.LATEST_PROTOCOL_VERSION = NEWEST
