"""Personal Context: a person's work status, whereabouts and plans. This file puts the connector together and does no work."""

from __future__ import annotations

from connectors.personal_context.checkup import check_connection
from connectors.personal_context.holidays import holidays_list, refresh
from connectors.personal_context.home_assistant import POLL_SECONDS, sync_location
from connectors.personal_context.locations import (
    status_enrich_latest_location,
    status_get_location,
    status_get_location_history,
    status_set_location,
    status_sync_homeassistant_location,
)
from connectors.personal_context.places import places_nearby
from connectors.personal_context.resources import SCHEDULE, TODAY
from connectors.personal_context.schedule import status_schedule_delete, status_schedule_list, status_schedule_set
from connectors.personal_context.search import SOURCES
from connectors.personal_context.settings import FIELDS
from connectors.personal_context.status import status_get, status_get_work, status_set_work
from tools import Connector, Job

CONNECTOR = Connector(
    name="personal_context",
    title="Personal Context",
    description="Whether you work, where you are and what you have planned. Needs no account anywhere.",
    fields=FIELDS,
    tools=(
        status_get,
        status_get_work,
        status_set_work,
        status_get_location,
        status_set_location,
        status_get_location_history,
        status_schedule_set,
        status_schedule_list,
        status_schedule_delete,
        holidays_list,
        status_sync_homeassistant_location,
        status_enrich_latest_location,
        places_nearby,
    ),
    resources=(TODAY, SCHEDULE),
    jobs=(Job("home_assistant", POLL_SECONDS, sync_location), Job("bank_holidays", 6 * 3600, refresh)),
    sources=SOURCES,
    test=check_connection,
    storage="personal_context",
)
