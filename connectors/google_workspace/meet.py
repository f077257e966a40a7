"""Meet tools: past meetings, who was there, what was recorded and said; new meeting rooms."""

from __future__ import annotations

from typing import Annotated, Any, Literal, NotRequired

from pydantic import Field
from typing_extensions import TypedDict

from connectors.google_workspace.api import Api, objects, part
from connectors.google_workspace.declare import Page, PageToken, reads, writes
from fitting import Answer, compact

READ = ("meetings.space.readonly", "meetings.space.created")
WRITE = ("meetings.space.created",)

RecordName = Annotated[
    str, Field(pattern=r"^conferenceRecords/[A-Za-z0-9_-]{1,100}$", description="Such as conferenceRecords/abc.")
]
TranscriptName = Annotated[
    str,
    Field(
        pattern=r"^conferenceRecords/[A-Za-z0-9_-]{1,100}/transcripts/[A-Za-z0-9_-]{1,100}$",
        description="name of a transcript of list_conference_recordings.",
    ),
]
Count = Annotated[int, Field(ge=1, le=100)]


class Conference(TypedDict):
    """A meeting that took place."""

    name: str
    start: NotRequired[str]
    end: NotRequired[str]
    space: NotRequired[str]


class Conferences(Page):
    """Meetings that took place, the last first."""

    conferences: list[Conference]


class ConferenceShown(Answer):
    """A meeting that took place."""

    conference: Conference


class Participant(TypedDict):
    """Somebody who was there."""

    name: str
    display_name: NotRequired[str]
    joined: NotRequired[str]
    left: NotRequired[str]


class Participants(Page):
    """All who were there."""

    participants: list[Participant]


class Recording(TypedDict):
    """A recording or transcript, and where it is on Drive or in Docs."""

    name: str
    state: NotRequired[str]
    file_id: NotRequired[str]
    url: NotRequired[str]


class Records(Answer):
    """What was recorded of a meeting."""

    recordings: list[Recording]
    transcripts: list[Recording]


class Line(TypedDict):
    """Something that was said."""

    text: str
    participant: NotRequired[str]
    start: NotRequired[str]


class Lines(Page):
    """What was said, in order."""

    lines: list[Line]


class Space(Answer):
    """A meeting room."""

    name: str
    meeting_url: NotRequired[str]
    meeting_code: NotRequired[str]
    access: NotRequired[str]


@reads(*READ, title="List past meetings")
def list_conference_records(
    api: Api,
    filter: Annotated[str | None, Field(max_length=500, description='Such as start_time>="2026-09-01T00:00:00Z".')] = None,
    page_size: Count = 25,
    page_token: PageToken = None,
) -> Conferences:
    """List meetings that took place in Google Meet."""
    params = {"filter": filter, "pageSize": page_size, "pageToken": page_token}
    found = api.get("meet", "conferenceRecords", params)
    return {"conferences": [show_conference(item) for item in objects(found, "conferenceRecords")]} | compact(
        {"next_page_token": found.get("nextPageToken")}
    )


@reads(*READ, title="Read past meeting")
def get_conference_record(api: Api, name: RecordName) -> ConferenceShown:
    """Say when a meeting took place, and where."""
    return {"conference": show_conference(api.get("meet", "conferenceRecords/{record_id}", record_id=id_of(name)))}


@reads(*READ, title="List who was in a meeting")
def list_conference_participants(
    api: Api, name: RecordName, page_size: Count = 100, page_token: PageToken = None
) -> Participants:
    """List who was in a meeting, and from when to when."""
    params = {"pageSize": page_size, "pageToken": page_token}
    found = api.get("meet", "conferenceRecords/{record_id}/participants", params, record_id=id_of(name))
    return {"participants": [show_participant(item) for item in objects(found, "participants")]} | compact(
        {"next_page_token": found.get("nextPageToken")}
    )


@reads(*READ, title="List recordings of a meeting")
def list_conference_recordings(api: Api, name: RecordName) -> Records:
    """List the recordings and transcripts of a meeting."""
    ids = {"record_id": id_of(name)}
    recordings = api.get("meet", "conferenceRecords/{record_id}/recordings", **ids)
    transcripts = api.get("meet", "conferenceRecords/{record_id}/transcripts", **ids)
    return {
        "recordings": [show_recording(item, "driveDestination", "file") for item in objects(recordings, "recordings")],
        "transcripts": [show_recording(item, "docsDestination", "document") for item in objects(transcripts, "transcripts")],
    }


@reads(*READ, title="Read transcript")
def get_conference_transcript(api: Api, name: TranscriptName, page_size: Count = 100, page_token: PageToken = None) -> Lines:
    """Read what was said in a meeting, as its transcript has it."""
    _, record_id, _, transcript_id = name.split("/")
    path = "conferenceRecords/{record_id}/transcripts/{transcript_id}/entries"
    params = {"pageSize": page_size, "pageToken": page_token}
    found = api.get("meet", path, params, record_id=record_id, transcript_id=transcript_id)
    lines = [
        {"text": str(item.get("text", ""))} | compact({"participant": item.get("participant"), "start": item.get("startTime")})
        for item in objects(found, "transcriptEntries")
    ]
    return {"lines": lines} | compact({"next_page_token": found.get("nextPageToken")})


@writes(*WRITE, title="Make meeting room")
def create_meet_space(
    api: Api,
    access: Annotated[
        Literal["OPEN", "TRUSTED", "RESTRICTED"] | None, Field(description="Who comes in without knocking.")
    ] = None,
) -> Space:
    """Make a room of Google Meet for any time. For a meeting in the calendar use create_event with add_google_meet."""
    found = api.post("meet", "spaces", {"config": {"accessType": access}} if access else {})
    facts = {
        "meeting_url": found.get("meetingUri"),
        "meeting_code": found.get("meetingCode"),
        "access": part(found, "config").get("accessType"),
    }
    return {"name": str(found.get("name", ""))} | compact(facts)


# --- parts of them ---


def id_of(name: str) -> str:
    """The id in a name such as conferenceRecords/abc."""
    return name.partition("/")[2]


def show_conference(item: dict[str, Any]) -> dict[str, Any]:
    """A meeting that took place."""
    facts = {"start": item.get("startTime"), "end": item.get("endTime"), "space": item.get("space")}
    return {"name": str(item.get("name", ""))} | compact(facts)


def show_participant(item: dict[str, Any]) -> dict[str, Any]:
    """Somebody who was there."""
    kinds = ("signedinUser", "anonymousUser", "phoneUser")
    shown = next((part(item, kind)["displayName"] for kind in kinds if part(item, kind).get("displayName")), None)
    facts = {"display_name": shown, "joined": item.get("earliestStartTime"), "left": item.get("latestEndTime")}
    return {"name": str(item.get("name", ""))} | compact(facts)


def show_recording(item: dict[str, Any], place: str, member: str) -> dict[str, Any]:
    """A recording or transcript."""
    where = part(item, place)
    facts = {"state": item.get("state"), "file_id": where.get(member), "url": where.get("exportUri")}
    return {"name": str(item.get("name", ""))} | compact(facts)


TOOLS = (
    list_conference_records,
    get_conference_record,
    list_conference_participants,
    list_conference_recordings,
    get_conference_transcript,
    create_meet_space,
)
