"""The SDK's pure functions for headers and refusals (`mcp.shared.inbound`), without the rest of the SDK.

Its package imports a whole client and a whole server with itself: a second of each start, and 24 MB. This one file needs neither.
"""

from __future__ import annotations

import sys
from importlib.util import find_spec, module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType


def load() -> ModuleType:
    """The module, from where the SDK is installed. Raises ImportError."""
    package = find_spec("mcp")  # finds it, and does not import it
    if package is None or not package.submodule_search_locations:
        raise ImportError("the package mcp is not installed")
    path = Path(package.submodule_search_locations[0], "shared", "inbound.py")
    spec = spec_from_file_location("mcp_shared_inbound", path)
    if spec is None or spec.loader is None:
        raise ImportError(f"{path} cannot be loaded")
    module = sys.modules[spec.name] = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


found = load()
ERROR_CODE_HTTP_STATUS = found.ERROR_CODE_HTTP_STATUS
NAME_BEARING_METHODS = found.NAME_BEARING_METHODS
InboundLadderRejection = found.InboundLadderRejection
classify_inbound_request = found.classify_inbound_request
encode_header_value = found.encode_header_value
find_invalid_x_mcp_header = found.find_invalid_x_mcp_header
mcp_param_headers = found.mcp_param_headers
unsupported_protocol_version_rejection = found.unsupported_protocol_version_rejection
validate_mcp_param_headers = found.validate_mcp_param_headers
x_mcp_header_map = found.x_mcp_header_map
