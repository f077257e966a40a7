"""The connection form's test: whether ClickUp accepts the token, and which workspaces it opens. Keeps nothing."""

from __future__ import annotations

from connectors.clickup.api import Api
from errors import ToolError
from tools import Context


def check_connection(context: Context) -> str:
    """Ask ClickUp which workspaces there are; answers a sentence. Raises ToolError if there is none, or not the one set."""
    api = Api(context)
    teams = api.teams(fresh=True)
    found = ", ".join(f"“{team.get('name')}” ({team.get('id')})" for team in teams)
    if not teams:
        raise ToolError("ClickUp accepts the token, but its account is in no workspace.")
    wanted = api.settings.team_id
    if wanted and wanted not in {str(team.get("id")) for team in teams}:
        raise ToolError(f"This account is not in workspace {wanted}. It is in {found}.")
    if len(teams) > 1 and not wanted:
        return f"ClickUp accepts the token. It opens several workspaces: {found}. Choose one by its id."
    return f"ClickUp accepts the token. Workspace: {found}."
