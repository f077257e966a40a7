"""ClickUp: workspaces, tasks, docs, time. This file puts the connector together and does no work."""

from __future__ import annotations

from connectors.clickup.bulk import (
    subtask_create_bulk,
    task_create_bulk,
    task_delete_bulk,
    task_tag_add_bulk,
    task_update_bulk,
)
from connectors.clickup.checkup import check_connection
from connectors.clickup.docs import (
    doc_create,
    doc_list,
    doc_page_create,
    doc_page_list,
    doc_page_read,
    doc_page_update,
    doc_pages_read,
    doc_read,
    doc_search,
    doc_search_bulk,
)
from connectors.clickup.fields import list_custom_field_list, task_custom_field_clear_value, task_custom_field_set_value
from connectors.clickup.hierarchy import (
    folder_list_for_space,
    hierarchy_resolve_path,
    list_list_for_space_or_folder,
    space_list_for_workspace,
    workspace_hierarchy,
    workspace_list,
    workspace_overview,
)
from connectors.clickup.members import (
    member_list_for_workspace,
    member_resolve,
    member_search_by_name,
    task_assignee_resolve,
)
from connectors.clickup.reference import reference_link_list, reference_page_fetch
from connectors.clickup.reports import task_risk_report, task_status_report
from connectors.clickup.resources import TEMPLATES
from connectors.clickup.search import SOURCES
from connectors.clickup.settings import FIELDS, withhold
from connectors.clickup.space_tags import space_tag_create, space_tag_delete, space_tag_list, space_tag_update
from connectors.clickup.structure import (
    folder_create_in_space,
    folder_delete,
    folder_update,
    list_create_for_container,
    list_create_from_template,
    list_delete,
    list_update,
)
from connectors.clickup.system import health, make_catalogue, ping, workspace_capability_snapshot
from connectors.clickup.task_reading import (
    task_comment_list,
    task_list_for_list,
    task_read,
    task_search,
    task_search_fuzzy,
    task_search_fuzzy_bulk,
)
from connectors.clickup.tasks import (
    subtask_create,
    task_attachment_add,
    task_comment_add,
    task_create,
    task_delete,
    task_duplicate,
    task_tag_add,
    task_tag_remove,
    task_update,
)
from connectors.clickup.time_entries import (
    task_time_entry_list,
    task_timer_start,
    task_timer_stop,
    time_entry_create_for_task,
    time_entry_current,
    time_entry_delete,
    time_entry_list,
    time_entry_update,
)
from connectors.clickup.time_reports import (
    time_report_for_container,
    time_report_for_context,
    time_report_for_space_tag,
    time_report_for_tag,
)
from connectors.clickup.views import list_view_create, space_view_create, view_delete, view_update
from tools import Connector

CONNECTOR = Connector(
    name="clickup",
    title="ClickUp",
    description="Workspaces, tasks, docs and time in ClickUp. Needs an API token of your account there.",
    fields=FIELDS,
    tools=(
        workspace_list,
        space_list_for_workspace,
        folder_list_for_space,
        list_list_for_space_or_folder,
        workspace_overview,
        workspace_hierarchy,
        hierarchy_resolve_path,
        member_list_for_workspace,
        member_resolve,
        member_search_by_name,
        task_assignee_resolve,
        task_search,
        task_list_for_list,
        task_read,
        task_comment_list,
        task_search_fuzzy,
        task_search_fuzzy_bulk,
        task_status_report,
        task_risk_report,
        task_create,
        subtask_create,
        task_create_bulk,
        subtask_create_bulk,
        task_update,
        task_update_bulk,
        task_delete,
        task_delete_bulk,
        task_duplicate,
        task_comment_add,
        task_attachment_add,
        task_tag_add,
        task_tag_add_bulk,
        task_tag_remove,
        list_custom_field_list,
        task_custom_field_set_value,
        task_custom_field_clear_value,
        doc_create,
        doc_list,
        doc_read,
        doc_pages_read,
        doc_page_list,
        doc_page_read,
        doc_page_create,
        doc_page_update,
        doc_search,
        doc_search_bulk,
        task_timer_start,
        task_timer_stop,
        time_entry_create_for_task,
        time_entry_update,
        time_entry_delete,
        task_time_entry_list,
        time_entry_current,
        time_entry_list,
        time_report_for_tag,
        time_report_for_space_tag,
        time_report_for_container,
        time_report_for_context,
        space_tag_list,
        space_tag_create,
        space_tag_update,
        space_tag_delete,
        folder_create_in_space,
        folder_update,
        folder_delete,
        list_create_for_container,
        list_create_from_template,
        list_update,
        list_delete,
        list_view_create,
        space_view_create,
        view_update,
        view_delete,
        reference_link_list,
        reference_page_fetch,
        ping,
        health,
        make_catalogue(lambda: CONNECTOR.tools),
        workspace_capability_snapshot,
    ),
    templates=TEMPLATES,
    sources=SOURCES,
    test=check_connection,
    withholds=withhold,
)
