"""How Google tools are declared: which choice of the form they need, and the account that they may name. Does no work."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from dataclasses import replace
from typing import Annotated, Any, NotRequired

from pydantic import Field

from connectors.google_workspace.api import Api
from connectors.google_workspace.scopes import PREFIX, hint_of
from fitting import Answer, fit
from tools import Context, Result, Tool, tool

ADDRESS = r"^[^\s@]+@[^\s@]+$"  # of mail, without a name

Email = Annotated[str | None, Field(description="Only to check that the connection is this account's.")]
PageSize = Annotated[int, Field(ge=1, le=500)]
Offset = Annotated[int, Field(ge=0, description="next_offset of the answer before.")]
PageToken = Annotated[str | None, Field(description="next_page_token of the answer before.")]


class Page(Answer):
    """One page of several."""

    next_page_token: NotRequired[str]


class Done(Answer):
    """What was done, in one sentence."""

    done: str


def reads(*scopes: str, title: str, also: tuple[str, ...] = (), **facts: Any) -> Callable[[Callable[..., Any]], Tool]:
    """Make a reading Tool of `def name(api, …)`. It needs one of `scopes`, and one of `also` if there are any."""
    return declare([scopes, also] if also else [scopes], title=title, reads=True, **facts)


def writes(*scopes: str, title: str, also: tuple[str, ...] = (), **facts: Any) -> Callable[[Callable[..., Any]], Tool]:
    """Make a Tool that changes something of `def name(api, …)`."""
    return declare([scopes, also] if also else [scopes], title=title, **facts)


def declare(needs: list[tuple[str, ...]], **facts: Any) -> Callable[[Callable[..., Any]], Tool]:
    """Make a Tool of a function that takes an Api. What it answers is made to fit."""
    hint = ", ".join(map(hint_of, needs))
    names = tuple(tuple(PREFIX + scope for scope in scopes) for scopes in needs)

    def make(function: Callable[..., Any]) -> Tool:
        made: list[Tool] = []

        @functools.wraps(function)
        def run(context: Context, *, user_google_email: str | None = None, **arguments: Any) -> Any:
            api = Api(context, made[0])
            if user_google_email:
                api.check_account(user_google_email)
            answer = function(api, **arguments)
            return answer if isinstance(answer, Result) else fit(answer, api.char_limit)

        run.__signature__ = signature_of(function)  # type: ignore[attr-defined]
        made.append(replace(tool(open_world=True, **facts)(run), scopes=names, scope_hint=hint))
        return made[0]

    return make


def signature_of(function: Callable[..., Any]) -> inspect.Signature:
    """A function's own parameters, and the account."""
    signature = inspect.signature(function, eval_str=True)
    email = inspect.Parameter("user_google_email", inspect.Parameter.KEYWORD_ONLY, default=None, annotation=Email)
    return signature.replace(parameters=[*signature.parameters.values(), email])
