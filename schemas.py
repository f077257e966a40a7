"""JSON Schemas of plain functions: what one takes, and what it answers. Knows no tool."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

from pydantic import ConfigDict, TypeAdapter, create_model


def schema_of_parameters(function: Callable[..., Any]) -> dict[str, Any]:
    """JSON Schema of a function's parameters after the first; unknown ones are refused."""
    signature = inspect.signature(function, eval_str=True)
    fields: dict[str, Any] = {}
    for parameter in list(signature.parameters.values())[1:]:
        default = ... if parameter.default is parameter.empty else parameter.default
        fields[parameter.name.rstrip("_")] = (parameter.annotation, default)
    model = create_model(function.__name__, __config__=ConfigDict(extra="forbid"), **fields)
    return tidy_schema(model.model_json_schema())


def schema_of_return(function: Callable[..., Any]) -> dict[str, Any] | None:
    """JSON Schema of a TypedDict return type; None for any other."""
    answer = inspect.signature(function, eval_str=True).return_annotation
    return tidy_schema(TypeAdapter(answer).json_schema()) if hasattr(answer, "__required_keys__") else None


def tidy_schema(schema: Any) -> Any:
    """Drop the titles that pydantic makes up, and `default: null`: both only cost a model's attention."""
    if isinstance(schema, list):
        return [tidy_schema(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    tidy = {}
    for key, value in schema.items():
        if key in ("properties", "$defs"):
            tidy[key] = {name: tidy_schema(item) for name, item in value.items()}
        elif not (key == "title" and isinstance(value, str)) and not (key == "default" and value is None):
            tidy[key] = tidy_schema(value)
    return tidy
