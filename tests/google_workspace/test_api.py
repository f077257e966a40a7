"""How Google is talked to: waiting, trying again, refusals, several at once, ids that lead nowhere else, long answers."""

from __future__ import annotations

import contextlib
import json
import re
from collections.abc import Iterator
from typing import Any
from urllib.parse import unquote, urlsplit

import pytest
from connector_world import TRAVERSALS, PatientCall, Rate

from connectors.google_workspace.api import BASES
from errors import Cancelled, FetchError, PosternError, SignInNeeded, ToolError
from fetch import Response
from google_workspace.calls import CALLS
from google_workspace.fake import TOKEN, FakeGoogle, refuse
from google_workspace.fake_mail import add_mail
from google_workspace.world import BOB, TOOLS, SignedIn, World, mistakes
from service_calls import BUDGET_SECONDS
from service_messages import as_query, fill_path

LIST = "list_task_lists"
POLICY = "The administrators of this account's organisation do not allow that"
NOT_FOUND = "Google finds nothing there: the id is wrong, it was deleted, or this account may not see it"
CHANGED = "It was changed meanwhile: read it again, then try once more"
UNSURE = "It may have been done all the same: look before you try again"


def status(code: int, reason: str = "", **headers: str) -> Response:
    return refuse(code, reason or "backendError", "No.", **headers)


# --- waiting, and trying again ---


def test_after_a_rate_limit_it_waits_as_long_as_google_asks(world):
    world.fake.fail(status(429, "rateLimitExceeded", **{"Retry-After": "3"}))
    assert world.call(LIST)["task_lists"]
    assert len(world.fake.sent) == 2
    assert 3 <= sum(world.clock.waits) < 4


def test_calls_keep_to_the_rate_of_a_google_that_counts(world):
    world.fake.rate = Rate(3, 10, world.clock)
    for _ in range(10):
        assert world.call(LIST)["task_lists"]
    assert 30 <= sum(world.clock.waits) <= 34
    assert world.fake.rate.refused == 3


def test_a_rate_limit_that_comes_as_403_is_one_all_the_same(world):
    for reason in ("rateLimitExceeded", "userRateLimitExceeded"):
        world.fake.fail(status(403, reason))
        assert world.call(LIST)["task_lists"]
    assert len(world.fake.sent) == 4


def test_a_wait_that_is_longer_than_the_call_is_not_begun(world):
    world.fake.fail(status(429, "rateLimitExceeded", **{"Retry-After": "120"}))
    with pytest.raises(ToolError, match=r"^Google asks to wait 121 seconds, which is longer than this call can last\.$"):
        world.run(LIST, {})
    assert len(world.fake.sent) == 1
    assert world.clock.waits == []


def test_it_gives_up_after_four_tries_and_says_why(world):
    world.fake.fail(status(429, "rateLimitExceeded"), times=4)
    with pytest.raises(ToolError, match=r"^Google's rate limit for this account is used up.*status 429, rateLimitExceeded\)\.$"):
        world.run(LIST, {})
    assert len(world.fake.sent) == 4


@pytest.mark.parametrize("code", [500, 502, 503, 504])
def test_trouble_of_googles_own_is_tried_again_for_what_may_be_repeated(world, code):
    world.fake.fail(status(code), times=2)
    assert world.call(LIST)["task_lists"]
    assert len(world.fake.sent) == 3


def test_what_might_have_been_done_is_not_done_twice(world):
    world.fake.fail(status(503))
    with pytest.raises(ToolError, match=rf"^Google has trouble of its own\. {UNSURE} \(status 503, backendError\)\.$"):
        world.run("send_gmail_message", {"to": ["bob@example.com"], "subject": "Hi", "body": "Hi"})
    assert world.fake.ids() == ["gmail.users.messages.send"]
    world.fake.fail(FetchError("gmail.googleapis.com did not answer in time."))
    with pytest.raises(ToolError, match=rf"did not answer in time\. {UNSURE}\.$"):
        world.run("send_gmail_message", {"to": ["bob@example.com"], "subject": "Hi", "body": "Hi"})
    assert len(world.fake.sent) == 2


def test_a_message_that_was_refused_for_the_rate_alone_is_sent_again(world):
    world.fake.fail(status(429, "rateLimitExceeded"))
    assert world.call("send_gmail_message", to=["bob@example.com"], subject="Hi", body="Hi")["message_id"]
    assert world.fake.ids() == ["gmail.users.messages.send"] * 2


def test_a_lost_connection_is_tried_again(world):
    world.fake.fail(FetchError("tasks.googleapis.com could not be reached."), times=2)
    assert world.call(LIST)["task_lists"]
    world.fake.fail(FetchError("tasks.googleapis.com could not be reached."), times=4)
    with pytest.raises(ToolError, match="could not be reached"):
        world.run(LIST, {})


def test_a_call_ends_within_its_time_however_google_behaves(world):
    def crawl(*_: Any, **__: Any) -> Response:
        world.clock.seconds += 20
        return status(503)

    world.fake.respond = crawl
    with pytest.raises(ToolError, match=r"^Google took too long: this call has no time left\.$|^Google asks to wait"):
        world.run(LIST, {})
    assert world.clock.seconds <= BUDGET_SECONDS + 20


def test_a_cancelled_call_sends_nothing_more(world):
    call = PatientCall(world.clock)
    world.fake.fail(status(429, "rateLimitExceeded", **{"Retry-After": "1"}))
    real = world.fake.respond

    def cancel(sent: Any) -> Response:
        call.cancelled.set()
        return real(sent)

    world.fake.respond = cancel
    with pytest.raises(Cancelled):
        world.run(LIST, {}, call=call)
    assert len(world.fake.sent) == 1


# --- what Google refuses ---


@pytest.mark.parametrize(
    ("code", "reason", "said"),
    [
        (400, "invalid", "Google did not accept the request: “No” (status 400, invalid)."),
        (403, "forbidden", "Google does not let this account do that: “No” (status 403, forbidden)."),
        (403, "domainPolicy", f"{POLICY}: “No” (status 403, domainPolicy)."),
        (404, "notFound", f"{NOT_FOUND}: “No” (status 404, notFound)."),
        (409, "duplicate", "Google says that this clashes with what is there: “No” (status 409, duplicate)."),
        (410, "deleted", "Google says that this was there and is deleted: “No” (status 410, deleted)."),
        (412, "conditionNotMet", f"{CHANGED}: “No” (status 412, conditionNotMet)."),
        (418, "teapot", "Google answered with status 418: “No” (status 418, teapot)."),
    ],
)  # fmt: skip
def test_each_refusal_has_a_sentence(world, code, reason, said):
    world.fake.fail(status(code, reason))
    with pytest.raises(ToolError) as caught:
        world.run(LIST, {})
    assert str(caught.value) == said
    assert len(world.fake.sent) == 1


def test_a_switched_off_api_says_where_it_is_switched_on(world):
    world.fake.fail(status(403, "accessNotConfigured"))
    with pytest.raises(ToolError, match=r"is switched off in the Google Cloud project.*under APIs & Services, Library"):
        world.run(LIST, {})


def test_newer_errors_are_understood_as_well(world):
    body = {"error": {"code": 403, "message": "Off.", "status": "PERMISSION_DENIED", "details": [{"reason": "SERVICE_DISABLED"}]}}
    world.fake.fail(Response(403, {}, json.dumps(body).encode(), "chat.googleapis.com"))
    with pytest.raises(ToolError, match=r"^The API at chat\.googleapis\.com is switched off"):
        world.run("list_spaces", {})


@pytest.mark.parametrize(
    "body", [b"<html>", b"[]", b'{"error": "x"}', b'{"error": {"errors": 7, "message": 1}}', b"\xff", b"[" * 9999]
)
def test_an_odd_error_is_still_one(world, body):
    world.fake.fail(Response(404, {}, body, "tasks.googleapis.com"))
    with pytest.raises(ToolError, match=r"^Google finds nothing there.*\(status 404\)\.$"):
        world.run(LIST, {})


def test_an_answer_that_is_not_json_is_said_to_be_none(world):
    world.fake.fail(Response(200, {}, b"<html>", "tasks.googleapis.com"))
    with pytest.raises(ToolError, match=r"^Google answered something that is not JSON\. Try again later\.$"):
        world.run(LIST, {})


@pytest.mark.parametrize(
    "body", [b"", b"[]", b'{"items": 7}', b'{"items": [7, null, {"id": 7}]}', b'{"items": [{"title": null}]}']
)
def test_an_odd_answer_breaks_nothing(world, body):
    world.fake.fail(Response(200, {}, body, "tasks.googleapis.com"))
    assert "task_lists" in world.call(LIST)


@pytest.mark.parametrize("name", CALLS)
def test_no_tool_breaks_on_empty_answers(make_world, name):
    for arguments in CALLS[name](make_world()):
        world = make_world()
        world.fake.respond = lambda sent: Response(200, {}, b"{}", "www.googleapis.com")
        try:
            answer = world.run(name, arguments).structured
        except ToolError:
            continue
        assert isinstance(answer, dict)


# --- the sign-in ---


def test_a_refused_token_is_renewed_once(world):
    world.signed_in = SignedIn("ya29.old", TOKEN)
    assert world.call(LIST)["task_lists"]
    assert world.signed_in.refusals == [401]
    assert [sent.headers["Authorization"] for sent in world.fake.sent] == ["Bearer ya29.old", f"Bearer {TOKEN}"]


def test_a_token_that_stays_refused_needs_its_person(world):
    world.signed_in = SignedIn("ya29.old", "ya29.older")
    with pytest.raises(SignInNeeded, match="Its person has to sign in again"):
        world.run(LIST, {})
    assert world.signed_in.refusals == [401, 401]


def test_several_that_are_refused_at_once_renew_it_once_and_are_all_sent_again(world):
    world.signed_in = SignedIn("ya29.old", TOKEN)
    ids = list(world.fake.room("gmail")["messages"])
    assert len(world.call("get_gmail_messages_content_batch", message_ids=ids)["messages"]) == len(ids)
    assert world.signed_in.refusals == [401]
    assert len(world.fake.sent) == 2 * len(ids)


# --- several at once ---


def test_what_cannot_be_read_of_several_is_named(world):
    answer = world.call("get_gmail_messages_content_batch", message_ids=[world.mail, "gone"])
    assert [item["id"] for item in answer["messages"]] == [world.mail]
    assert [item["id"] for item in answer["failed"]] == ["gone"]
    assert answer["failed"][0]["error"].startswith("Google finds nothing there")
    with pytest.raises(ToolError, match=r"^Google finds nothing there"):
        world.run("get_gmail_messages_content_batch", {"message_ids": ["gone", "lost"]})


def test_several_report_how_far_they_are(world):
    ids = list(world.fake.room("gmail")["messages"])
    world.call("get_gmail_messages_content_batch", message_ids=ids)
    assert world.last_call.reports[-1] == (len(ids), len(ids), f"{len(ids)} of {len(ids)} messages")


# --- ids that lead nowhere else (S-25) ---


@pytest.mark.parametrize("value", [value for value in TRAVERSALS if value not in ("..", ".", "1\n2", "")])
def test_a_value_in_a_path_is_one_segment(value):
    path = fill_path("files/{file_id}/export", {"file_id": value})
    assert unquote(path.split("/")[1]) == value
    assert len(path.split("/")) == 3


@pytest.mark.parametrize("value", ["..", ".", "1\n2", "", " ", "x" * 1001])
def test_a_value_that_cannot_be_a_segment_is_refused(value):
    with pytest.raises(ToolError, match=r"cannot be used as file_id\.$"):
        fill_path("files/{file_id}/export", {"file_id": value})


@pytest.mark.parametrize("name", CALLS)
def test_no_argument_leads_a_request_elsewhere(make_world, name):
    """Whatever stands in an argument, each request is one that Google describes, at the place that the tool asks for."""
    for full in CALLS[name](make_world()):
        world = make_world()
        usual = ids_of(world, name, full) | {"gmail.users.drafts.create"}
        for argument, value in full.items():
            tried = TRAVERSALS if places_of(world, value) else TRAVERSALS[:4:3]
            for changed in (full | {argument: other} for odd in tried for other in with_odd(value, odd)):
                if mistakes(name, changed) == []:
                    other = make_world()
                    assert ids_of(other, name, changed) <= usual
                    check_places(other.fake)


def places_of(world: World, value: Any) -> set[tuple[str, str]]:
    """Where in the paths of what was asked for an argument stands: (method, hole)."""
    texts = [value] if isinstance(value, str) else value if isinstance(value, list) else []
    pieces = {piece for text in texts if isinstance(text, str) for piece in text.split("/")}
    return {(sent.id, hole) for sent in world.fake.sent for hole, text in sent.ids.items() if text in pieces}


def with_odd(value: Any, odd: str) -> Iterator[Any]:
    """An argument with something odd in it, if it is a text or a list of texts."""
    if isinstance(value, str):
        yield odd
        if "/" in value:
            yield value.rpartition("/")[0] + "/" + odd
    elif isinstance(value, list) and value and isinstance(value[0], str):
        yield [odd, *value[1:]]


def test_every_place_in_a_path_is_filled_from_an_argument_that_was_tried(make_world, capsys):
    """Else the test above would show little."""
    tried, all_ = set(), set()
    for name, calls in CALLS.items():
        for full in calls(make_world()):
            world = make_world()
            ids_of(world, name, full)
            all_ |= {(sent.id, hole) for sent in world.fake.sent for hole, text in sent.ids.items() if text != "me"}
            tried |= {place for value in full.values() for place in places_of(world, value)}
    with capsys.disabled():
        print(f"\nGoogle Workspace: {len(tried)} of {len(all_)} places in paths are filled from arguments")
    assert all_ == tried != set()


def ids_of(world: World, name: str, arguments: dict[str, Any]) -> set[str]:
    """Which of Google's methods a tool asks for."""
    CALLS[name](world)
    with contextlib.suppress(PosternError):
        TOOLS[name].run(world.context(), arguments)
    return set(world.fake.ids())


def check_places(fake: FakeGoogle) -> None:
    """All requests went to Google, by paths in which nothing leads anywhere."""
    assert [problem for problem in fake.problems if "descriptions" in problem] == []
    for sent in fake.sent:
        assert sent.url.startswith(tuple(base + "/" for base in BASES.values()))
        assert {"", ".", ".."}.isdisjoint(urlsplit(sent.url).path.split("/")[1:])
        assert re.fullmatch(r"https://[!-~]+", sent.url)
        assert not {"?", "#", "@"} & set(urlsplit(sent.url).path.replace("/users/@me/", "/"))


def test_query_parameters_are_as_google_reads_them():
    assert as_query({"a": True, "b": None, "c": [1, None, "x"], "d": ()}) == [("a", "true"), ("c", "1"), ("c", "x")]


# --- long answers ---


def test_a_long_answer_is_shortened_and_says_so(world):
    world.settings["charLimit"] = 1000
    for number in range(40):
        world.fake.room("tasks")["lists"][f"list{number}"] = {"id": f"list{number}", "title": "A list with a name " * 3}
    answer = world.call(LIST)
    assert answer["truncated"] is True
    assert len(json.dumps(answer)) <= 1100
    assert len(answer["task_lists"]) < 42


def test_a_long_mail_goes_on_at_the_next_offset_and_so_does_a_file_at_it(world):
    text = "".join(f"line {number}\n" for number in range(3000))
    mail = add_mail(world.fake, BOB, "Minutes", text, files={"minutes.txt": text.encode()})
    first = world.call("get_gmail_message_content", message_id=mail)["message"]
    world.settings["charLimit"] = 4000
    parts = {"message_id": mail, "attachment_id": first["attachments"][0]["attachment_id"]}
    for read in (
        lambda offset: world.call("get_gmail_message_content", message_id=mail, offset=offset)["message"],
        lambda offset: world.call("get_gmail_attachment_content", **parts, offset=offset),
    ):
        found, offset = "", 0
        while offset is not None:
            answer = read(offset)
            found, offset = found + answer["text"], answer.get("next_offset")
            assert answer.get("total_chars", len(text)) == len(text)
        assert found == text


def test_a_long_document_goes_on_at_the_next_offset(world):
    world.settings["charLimit"] = 4000
    text = "".join(f"line {number}\n" for number in range(1000))
    world.fake.room("drive")["docs"][world.doc]["body"] = text
    read, offset = "", 0
    while True:
        answer = world.call("get_doc_content", document_id=world.doc, offset=offset)
        assert "truncated" not in answer
        read += answer["text"]
        if "next_offset" not in answer:
            break
        assert answer["total_chars"] == len(text)
        offset = answer["next_offset"]
    assert read == text
