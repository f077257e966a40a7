"""Whole stories at Google: a mail and its reply, a meeting that moves, a document that is written and exported, a sheet."""

from __future__ import annotations

import base64
import io
import struct
import time
import tracemalloc
import zipfile
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import default
from typing import Any

import pytest

from connectors.google_workspace.drive import text_of_word
from connectors.google_workspace.mail import build, text_of, text_of_html
from errors import ToolError
from google_workspace.fake import ALICE, refuse
from google_workspace.fake_mail import add_mail
from google_workspace.world import BOB, World


def raw_of(world: World, message_id: str) -> EmailMessage:
    """A message as it was sent."""
    raw = base64.urlsafe_b64decode(world.fake.room("gmail")["messages"][message_id]["raw"])
    return message_from_bytes(raw, policy=default)  # type: ignore[return-value]


def words_of(message: EmailMessage) -> str:
    """What a message says as plain text."""
    return message.get_body(("plain",)).get_content().replace("\r\n", "\n")  # type: ignore[union-attr]


# --- mail ---


def test_a_mail_is_found_read_answered_labelled_and_put_away(world):
    (found,) = world.call("search_gmail_messages", query="from:bob subject:invoice is:unread")["messages"]
    assert (found["subject"], found["sender"], found["unread"]) == ("Invoice 7", f"Bob Baker <{BOB}>", True)
    message = world.call("get_gmail_message_content", message_id=found["id"])["message"]
    assert message["text"].strip() == "Please pay until Friday."
    assert [item["filename"] for item in message["attachments"]] == ["invoice.txt", "scan.bin"]
    file = world.call(
        "get_gmail_attachment_content", message_id=found["id"], attachment_id=message["attachments"][0]["attachment_id"]
    )
    assert (file["text"], file["filename"], file["size"]) == ("100 EUR", "invoice.txt", 7)

    sent = world.call("reply_gmail_message", message_id=found["id"], body="It is paid.", reply_all=True)
    reply = raw_of(world, sent["message_id"])
    assert sent["thread_id"] == found["thread_id"]
    assert (sent["to"], sent["cc"]) == ([f"Bob Baker <{BOB}>"], ["Carol <carol@example.com>"])
    assert (reply["To"], reply["Cc"], reply["Subject"]) == (f"Bob Baker <{BOB}>", "Carol <carol@example.com>", "Re: Invoice 7")
    assert reply["In-Reply-To"] == reply["References"] == message["message_id"]
    assert words_of(reply) == (f"It is paid.\n\nOn {message['date']}, Bob Baker <{BOB}> wrote:\n> Please pay until Friday.\n")

    label = world.call("create_gmail_label", name="Paid")["label"]["id"]
    world.call("modify_gmail_message_labels", message_ids=[found["id"]], add_label_ids=[label])
    world.call("mark_gmail_messages_read", message_ids=[found["id"]])
    world.call("archive_gmail_messages", message_ids=[found["id"]])
    assert world.fake.room("gmail")["messages"][found["id"]]["labelIds"] == [label]
    world.call("trash_gmail_message", message_id=found["id"])
    assert world.call("search_gmail_messages", query="subject:invoice from:bob")["messages"] == []
    world.call("untrash_gmail_message", message_id=found["id"])
    assert len(world.call("search_gmail_messages", query="subject:invoice from:bob")["messages"]) == 1


def test_a_reply_to_ones_own_mail_goes_to_whom_it_went(world):
    own = add_mail(world.fake, f"Alice <{ALICE}>", "Plan", "Look", To=f"Bob <{BOB}>", labels=("SENT",))
    sent = world.call("reply_gmail_message", message_id=own, body="And?", reply_all=True, quote_original=False)
    assert raw_of(world, sent["message_id"])["To"] == f"Bob <{BOB}>"


def test_a_reply_goes_where_the_sender_wants_it(world):
    mail = add_mail(world.fake, BOB, "Plan", "Look", Reply_To="office@example.com", References="<a@example.com>")
    reply = raw_of(world, world.call("reply_gmail_message", message_id=mail, body="Yes")["message_id"])
    assert (reply["To"], reply["Cc"]) == ("office@example.com", None)
    assert reply["References"].startswith("<a@example.com> <")


def test_a_forwarded_mail_takes_its_text_and_files_along(world):
    sent = world.call("forward_gmail_message", message_id=world.mail, to=["dan@example.com"], body="See below")
    forwarded = raw_of(world, sent["message_id"])
    text = words_of(forwarded)
    assert forwarded["Subject"] == "Fwd: Invoice 7"
    assert text.startswith("See below\n\n---------- Forwarded message ----------\nFrom: Bob Baker")
    assert text.rstrip().endswith("Please pay until Friday.")
    files = {item.get_filename(): item.get_content() for item in forwarded.iter_attachments()}
    assert files == {"invoice.txt": b"100 EUR", "scan.bin": b"\xff\xfe\x00\x01"}


def test_a_draft_is_written_changed_and_sent(world):
    draft = world.call("draft_gmail_message", to=[BOB], subject="Rain", body="Bring an umbrella", thread_id=world.thread)
    (listed,) = world.call("list_gmail_drafts")["drafts"]
    assert (listed["draft_id"], listed["message"]["subject"]) == (draft["draft_id"], "Rain")
    changed = world.call("update_gmail_draft", draft_id=draft["draft_id"], to=[BOB], subject="Sun", body="Bring a hat")
    assert changed["thread_id"] == world.thread
    sent = world.call("send_gmail_draft", draft_id=draft["draft_id"])
    assert raw_of(world, sent["message_id"])["Subject"] == "Sun"
    assert world.call("list_gmail_drafts")["drafts"] == []


def test_a_mail_of_html_is_read_as_text(world):
    message = world.call("get_gmail_message_content", message_id=world.html_mail)["message"]
    assert message["text"] == "Hello\nthere"
    assert text_of_html("<p>a</p>\n\n<p>b &amp; c</p><br><br><br>d") == "a\n\nb & c\n\nd"
    assert text_of_html("<head><title>x</title><meta charset=utf-8><body><style>p {}</style>Hi") == "Hi"  # no end of the head


@pytest.mark.parametrize(
    ("page", "text"),
    [
        ("a<!-- <b>no</b> -->b<!-- to the end", "ab"),
        ("<!doctype html><?xml x?>a <B>b</B>\n c", "a b c"),
        ("1 < 2 && 3 > 2 <", "1 < 2 && 3 > 2 <"),
        ('<a title="x > y" href=/z?a=b>z</a>', "z"),
        ("<p class='a'' \">it's</p>", "it's"),
        ("<SCRIPT>if (a<b) c()</script >x<style>p</style>y<script>never ends", "xy"),
        ("<head><title>t</title></head>&lt;b&gt;&nbsp;&euro;", "<b> €"),
        ("a<br/>b<br>c</li>", "a\nb\nc"),
        ("<a <b>x", "<a x"),
    ],
)
def test_html_is_read_as_people_read_it(page, text):
    assert text_of_html(page) == text


@pytest.mark.parametrize(
    "piece", ["<", "<a ", "<p>", '<a b="', "<a b='\"", "<!--", "</", "&", "<script>", "<a =", "<![CDATA[", "<a x=\"'"]
)
def test_no_html_takes_longer_than_it_is_long(piece):
    begun = time.process_time()
    text_of_html(piece * 20_000)
    assert time.process_time() - begun < 2


def test_brackets_without_end_in_a_sender_are_an_address_of_nobody(world):
    original = world.fake.room("gmail")["messages"][world.mail]
    original["payload"]["headers"] = [{"name": "From", "value": "(" * 5000}]
    with pytest.raises(ToolError, match="The message names nobody to reply to"):
        world.run("reply_gmail_message", {"message_id": world.mail, "body": "x"})


def test_the_kind_of_an_attachment_slips_nothing_into_what_is_put_on_drive(world):
    parts = world.fake.room("gmail")["messages"][world.mail]["payload"]["parts"]
    scan = next(item for item in parts if item["body"].get("attachmentId") == world.scan)
    scan["mimeType"] = "text/plain\r\nX-Evil: yes"
    world.call("save_gmail_attachment_to_drive", message_id=world.mail, attachment_id=world.scan)
    _, _, content = world.fake.sent[-1].form.partition(b"}\r\n--")
    assert content.split(b"\r\n\r\n")[0].endswith(b"Content-Type: application/octet-stream")


def test_a_reply_takes_over_ids_of_messages_and_nothing_else_of_their_headers(world):
    original = world.fake.room("gmail")["messages"][world.mail]
    odd = {"References": "é " * 20_000 + "<a@b> x <c@d>" + " <e@f>" * 30, "Message-ID": "no id", "Subject": "ü" * 20_000}
    kept = [header for header in original["payload"]["headers"] if header["name"] not in odd]
    original["payload"]["headers"] = [*kept, *({"name": name, "value": value} for name, value in odd.items())]
    begun = time.process_time()
    reply = raw_of(world, world.call("reply_gmail_message", message_id=world.mail, body="x")["message_id"])
    assert time.process_time() - begun < 3
    assert (reply["References"], reply["In-Reply-To"]) == (" ".join(["<e@f>"] * 20), None)
    assert len(reply["Subject"]) == 904


def test_bytes_come_as_base64_and_long_ones_not_at_all(world):
    file = world.call("get_gmail_attachment_content", message_id=world.mail, attachment_id=world.scan)
    assert base64.b64decode(file["base64"]) == b"\xff\xfe\x00\x01"
    world.fake.room("gmail")["files"][world.scan] = b"\xff" * 40_000
    with pytest.raises(ToolError, match=r"has 40000 bytes that are no text.*save_gmail_attachment_to_drive"):
        world.run("get_gmail_attachment_content", {"message_id": world.mail, "attachment_id": world.scan})
    saved = world.call("save_gmail_attachment_to_drive", message_id=world.mail, attachment_id=world.scan)["file"]
    assert world.fake.room("drive")["content"][saved["id"]] == b"\xff" * 40_000


@pytest.mark.parametrize("subject", ["a\r\nBcc: evil@example.com", "a\nb"])
def test_no_header_slips_into_a_mail(world, subject):
    with pytest.raises(ToolError, match="holds a line break"):
        world.run("send_gmail_message", {"to": [BOB], "subject": subject, "body": "x"})
    assert world.fake.sent == []


def test_a_mail_that_is_gone_by_the_time_it_is_read_is_left_out(world):
    there = len(world.call("search_gmail_messages", query="from:bob")["messages"])
    world.fake.fail(refuse(404, "notFound", "Requested entity was not found."), id="gmail.users.messages.get")
    assert len(world.call("search_gmail_messages", query="from:bob")["messages"]) == there - 1 > 0
    world.fake.fail(refuse(403, "forbidden"), id="gmail.users.messages.get")
    with pytest.raises(ToolError, match="does not let this account do that"):
        world.run("search_gmail_messages", {"query": "from:bob"})


def test_a_reply_to_what_one_wrote_oneself_goes_to_those_who_got_it(world):
    own = add_mail(world.fake, ALICE, "Lunch?", "x", labels=("SENT",), To=f"Bob <{BOB}>", Cc="carol@example.com")
    for reply_all, copy in ((False, None), (True, "carol@example.com")):
        sent = raw_of(world, world.call("reply_gmail_message", message_id=own, body="y", reply_all=reply_all)["message_id"])
        assert (sent["To"], sent["Cc"]) == (f"Bob <{BOB}>", copy)


def test_a_text_in_other_letters_than_utf_8_is_read(world):
    payload = world.fake.room("gmail")["messages"][add_mail(world.fake, BOB, "x", "x")]["payload"]
    payload["body"]["data"] = base64.urlsafe_b64encode("Žluťoučký".encode("iso-8859-2")).decode()
    payload["headers"] = [{"name": "Content-Type", "value": 'text/plain; charset="ISO-8859-2"'}]
    assert text_of(payload) == "Žluťoučký"
    payload["headers"][0]["value"] = "text/plain; charset=nobody-knows"
    assert "lu" in text_of(payload)


@pytest.mark.parametrize("charset", ["undefined", "unicode_escape", "raw_unicode_escape", "idna", "rot13"])
def test_letters_that_are_none_make_no_mail_unreadable(world, charset):
    payload = world.fake.room("gmail")["messages"][add_mail(world.fake, BOB, "x", "x")]["payload"]
    payload["body"]["data"] = base64.urlsafe_b64encode(b"\xff Hello \\ud800" + b"a" * 2000).decode()
    payload["headers"] = [{"name": "Content-Type", "value": f"text/plain; charset={charset}"}]
    text = text_of(payload)
    assert "Hello" in text
    text.encode()


def test_a_file_whose_name_is_a_book_is_forwarded_under_the_end_of_it(world):
    payload = world.fake.room("gmail")["messages"][(mail := add_mail(world.fake, BOB, "x", "x"))]["payload"]
    payload["parts"] = [{"mimeType": "text/plain", "filename": "ä" * 30_000 + ".txt", "body": {"data": "SGVsbG8="}}]
    begun = time.process_time()
    sent = raw_of(world, world.call("forward_gmail_message", message_id=mail, to=[BOB])["message_id"])
    assert [part.get_filename() for part in sent.iter_attachments()] == ["ä" * 196 + ".txt"]
    assert time.process_time() - begun < 1


def test_what_is_sent_into_a_conversation_answers_its_last_mail_for_everybody(world):
    last = world.call("get_gmail_thread_content", thread_id=world.thread)["messages"][-1]["message_id"]
    mine = {"subject": "Re: Invoice 7", "body": "Paid", "to": [BOB], "thread_id": world.thread}
    draft = world.call("draft_gmail_message", **mine)
    first = raw_of(world, draft["message_id"])
    sent = world.call("send_gmail_message", **mine)  # the draft before it went to nobody
    new = world.call("update_gmail_draft", draft_id=draft["draft_id"], subject="Re: Invoice 7", body="Well", to=[BOB])
    for letter in (first, raw_of(world, sent["message_id"]), raw_of(world, new["message_id"])):
        assert letter["In-Reply-To"] == letter["References"] == last
    alone = raw_of(world, world.call("send_gmail_message", subject="x", body="x", to=[BOB])["message_id"])
    assert alone["In-Reply-To"] is None


TRICKS = [
    "=?utf-8?q?evil=40example.com=2C?= <eve@example.com>",
    '"=?utf-8?q?evil=40example.com=2C?=" <eve@example.com>',
    '"=?utf-8?q?evil=40example.com=2C?= ☂" <eve@example.com>',
    "☂ =?utf-8?q?evil=40example.com=2C?= <eve@example.com>",
    '"Eve\\", evil@example.com, \\"" <eve@example.com>',
    "=?utf-8?q?=3D=3Futf-8=3Fq=3Fevil=40example.com=2C=3F=3D?= <eve@example.com>",
]


@pytest.mark.parametrize("sender", TRICKS)
def test_a_name_adds_nobody_to_those_who_get_a_reply(world, sender):
    original = world.fake.room("gmail")["messages"][world.mail]
    headers = [header for header in original["payload"]["headers"] if header["name"] not in ("From", "Reply-To")]
    original["payload"]["headers"] = [*headers, {"name": "From", "value": sender}]
    sent = world.call("reply_gmail_message", message_id=world.mail, body="x")
    assert [address.addr_spec for address in raw_of(world, sent["message_id"])["To"].addresses] == ["eve@example.com"]


@pytest.mark.parametrize(
    "address", ["a, b@example.com", "b@example.com <a", "=?utf-8?q?a=2C?=@example.com", '"@example.com', "é@example.com"]
)
def test_what_is_not_one_address_gets_no_mail(world, address):
    with pytest.raises(ToolError, match=r"is not an address: it has to look like ann@example\.com, or Ann <ann@example\.com>\.$"):
        world.run("send_gmail_message", {"to": [address], "subject": "x", "body": "y"})
    assert world.fake.sent == []


def test_a_domain_of_other_letters_is_written_as_mail_servers_know_it(world):
    sent = world.call("send_gmail_message", to=["Zoë <zoe@münchen.example>"], subject="x", body="y")
    (address,) = raw_of(world, sent["message_id"])["To"].addresses
    assert (address.display_name, address.addr_spec) == ("Zoë", "zoe@xn--mnchen-3ya.example")


@pytest.mark.parametrize("kind", ["multipart/mixed", "message/rfc822", "no type"])
def test_a_file_of_a_kind_that_bytes_do_not_make_is_attached_as_bytes(kind):
    raw = build(subject="a", body="b", to=[BOB], attachments=[{"filename": "x\n.eml", "mime_type": kind, "base64": "aGk="}])
    *_, file = message_from_bytes(base64.urlsafe_b64decode(raw), policy=default).walk()
    assert (file.get_content_type(), file.get_filename(), file.get_content()) == ("application/octet-stream", "x.eml", b"hi")


def test_letters_of_all_kinds_arrive(world):
    sent = world.call("send_gmail_message", to=["Zoë <zoe@example.com>"], subject="Grüße ☂", body="Schöne Grüße\n☂")
    arrived = raw_of(world, sent["message_id"])
    assert (arrived["Subject"], words_of(arrived).strip()) == ("Grüße ☂", "Schöne Grüße\n☂")
    assert arrived["To"].addresses[0].display_name == "Zoë"


def test_the_same_mail_is_put_together_the_same_way():
    facts: dict[str, Any] = {"subject": "a", "body": "b", "to": [BOB], "html_body": "<b>b</b>"}
    files = [{"filename": "a.txt", "base64": "SGVsbG8"}]
    assert build(**facts, attachments=files) == build(**facts, attachments=files)
    with pytest.raises(ToolError, match=r"The content of “a\.txt” is not base64\."):
        build(**facts, attachments=[{"filename": "a.txt", "base64": "ü"}])


def test_a_mail_needs_somebody_to_go_to(world):
    with pytest.raises(ToolError, match="Name somebody to send it to"):
        world.run("send_gmail_message", {"to": [], "subject": "a", "body": "b"})


# --- calendar ---


def test_a_meeting_is_made_moved_and_answers_are_kept(world):
    free = world.call(
        "suggest_meeting_times",
        attendees=[BOB, "stranger@example.com"],
        time_min="2026-09-22T09:00:00+00:00",
        time_max="2026-09-22T18:00:00+00:00",
        duration_minutes=60,
    )
    assert free["free"][0] == {"start": "2026-09-22T09:00:00+00:00", "end": "2026-09-22T10:00:00+00:00"}
    assert free["free"][1]["start"] == "2026-09-22T11:00:00+00:00"  # after the meeting at ten
    assert free["unknown"] == ["stranger@example.com"]

    moved = world.call(
        "modify_event", event_id=world.meeting, start_time="2026-09-22T14:00:00Z", end_time="2026-09-22T15:00:00Z",
        attendees=[BOB, "carol@example.com"],
    )["event"]  # fmt: skip
    assert (moved["start"], moved["summary"]) == ("2026-09-22T14:00:00Z", "Planning")
    assert moved["attendees"] == [{"email": BOB, "response": "accepted"}, {"email": "carol@example.com"}]
    found = world.call("get_events", time_min="2026-09-22", time_max="2026-09-23")["events"]
    assert [(item["summary"], item["start"]) for item in found] == [("Planning", "2026-09-22T14:00:00Z")]
    world.call("delete_event", event_id=world.meeting)
    assert world.call("get_events", time_min="2026-09-22", time_max="2026-09-23")["events"] == []


def test_a_meeting_becomes_a_whole_day_and_a_time_again(world):
    day = world.call("modify_event", event_id=world.meeting, start_time="2026-09-22", end_time="2026-09-23")["event"]
    assert (day["start"], day["end"], day["all_day"]) == ("2026-09-22", "2026-09-23", True)
    timed = world.call(
        "modify_event", event_id=world.meeting, start_time="2026-09-22T10:00:00Z", end_time="2026-09-22T11:00:00Z"
    )["event"]
    assert "all_day" not in timed


def test_a_repeated_event_gets_a_time_zone_and_its_repeats_can_be_listed(world):
    made = world.call(
        "create_event", summary="Yoga", start_time="2026-10-01T18:00:00", end_time="2026-10-01T19:00:00",
        recurrence=["RRULE:FREQ=WEEKLY;COUNT=3"], add_google_meet=True,
    )["event"]  # fmt: skip
    assert (made["time_zone"], made["meet_url"]) == ("Europe/London", "https://meet.google.com/abc-defg-hij")
    repeats = world.call("list_event_instances", event_id=made["id"])["events"]
    assert [item["start"][:10] for item in repeats] == ["2026-10-01", "2026-10-08", "2026-10-15"]
    assert {item["recurring_event_id"] for item in repeats} == {made["id"]}


def test_a_time_without_a_place_is_the_calendars_own(world):
    made = world.call("create_event", summary="Tea", start_time="2026-10-01T16:00:00", end_time="2026-10-01T16:30:00")["event"]
    assert (made["start"], made["time_zone"]) == ("2026-10-01T16:00:00", "Europe/London")
    moved = world.call("modify_event", event_id=made["id"], start_time="2026-10-01T17:00", end_time="2026-10-01T17:30")["event"]
    assert (moved["start"], moved["time_zone"]) == ("2026-10-01T17:00", "Europe/London")
    before = len(world.fake.sent)
    world.call("modify_event", event_id=made["id"], start_time="2026-10-01T18:00Z", end_time="2026-10-01T18:30Z")
    assert len(world.fake.sent) == before + 1  # nobody had to be asked


def test_an_invitation_is_accepted(world):
    event = world.call("respond_to_event", event_id=world.meeting, response="accepted")["event"]
    assert {item["email"]: item.get("response") for item in event["attendees"]} == {BOB: "accepted", ALICE: "accepted"}
    with pytest.raises(ToolError, match="This account is not invited to the event"):
        world.run("respond_to_event", {"event_id": world.holiday, "response": "accepted"})


@pytest.mark.parametrize("text", ["2026-13-01", "tomorrow at ten", "2026-09-20T25:00:00"])
def test_a_time_that_is_none_is_refused_before_anything_is_sent(world, text):
    with pytest.raises(ToolError, match="is no time: it has to look like"):
        world.run("create_event", {"summary": "x", "start_time": text, "end_time": "2026-09-20T11:00:00Z"})
    assert world.fake.sent == []


# --- files and documents ---


def test_a_word_file_of_paragraphs_in_paragraphs_is_read_in_one_pass():
    space = 'xmlns:w="http://schemas.openxmlformats.org/wordprocessingml/2006/main"'
    inside = "<w:p><w:r><w:t>a</w:t><w:br/><w:t>b</w:t></w:r>" * 20_000 + "</w:p>" * 20_000
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("word/document.xml", f"<w:document {space}>{inside}</w:document>")
    begun = time.process_time()
    assert text_of_word(file.getvalue()) == "\n".join(["a", "b"] * 20_000)
    assert time.process_time() - begun < 2


@pytest.mark.parametrize("packing", [zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_a_word_file_that_is_larger_than_it_says_takes_no_more_room_than_any(packing):
    real = 48 * 1024 * 1024
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", packing) as archive:
        archive.writestr("word/document.xml", bytes(real))
    sent = file.getvalue().replace(struct.pack("<I", real), struct.pack("<I", 1000))
    assert len(sent) < 100_000
    tracemalloc.start()
    try:
        assert text_of_word(sent) is None
        assert tracemalloc.get_traced_memory()[1] < 45 * 1024 * 1024
    finally:
        tracemalloc.stop()


def test_nobody_who_may_see_a_file_is_left_out_without_a_word(world):
    rules = world.fake.room("drive")["permissions"][world.file]
    rules |= {f"q{n}": {"id": f"q{n}", "role": "reader", "type": "user", "emailAddress": f"q{n}@example.com"} for n in range(150)}
    first = world.call("get_drive_file_permissions", file_id=world.file)
    second = world.call("get_drive_file_permissions", file_id=world.file, page_token=first["next_page_token"])
    assert len(first["permissions"]) + len(second["permissions"]) == len(rules) > 150
    assert "next_page_token" not in second


@pytest.mark.parametrize("facts", [{"type": "anyone"}, {"email": BOB, "send_notification": False}])
def test_a_message_that_would_reach_nobody_is_refused(world, facts):
    with pytest.raises(ToolError, match="nobody gets one here"):
        world.run("share_drive_file", {"file_id": world.file, "message": "Look", **facts})
    assert world.fake.sent == []


def test_a_document_is_written_filled_and_exported(world):
    made = world.call("create_doc", title="Trip", content="To Rome\n")
    doc = made["document_id"]
    world.call("append_doc_text", document_id=doc, text="By train")
    assert world.call("find_and_replace_doc", document_id=doc, find="rome", replace="Paris")["occurrences"] == 1
    world.call("insert_doc_table", document_id=doc, rows=[["Day", "Place"], ["1", "Paris"]])
    read = world.call("get_doc_content", document_id=doc, with_indexes=True)
    assert read["text"] == "To Paris\nBy train\n| Day | Place |\n| 1 | Paris |\n\n"
    paris = next(item for item in read["paragraphs"] if item["text"] == "To Paris\n")
    changed = {"text": "Lyon", "start_index": paris["start"] + 3, "end_index": paris["end"] - 1}
    world.call("modify_doc_text", document_id=doc, **changed)
    exported = world.call("export_drive_file", file_id=doc, format="md")
    assert exported["text"].startswith("To Lyon\nBy train\n")
    assert exported["mime_type"] == "text/markdown"
    pdf = world.call("export_drive_file", file_id=doc)
    assert base64.b64decode(pdf["base64"]).startswith(b"%application/pdf")
    saved = world.call("save_drive_export", file_id=doc, file_name="trip.pdf", folder_id=world.folder)["file"]
    assert (saved["name"], saved["mime_type"], saved["parents"]) == ("trip.pdf", "application/pdf", [world.folder])


def test_a_table_at_a_place_is_filled_there(world):
    world.call("insert_doc_table", document_id=world.doc, rows=[["z"]])  # one at the end
    world.call("insert_doc_table", document_id=world.doc, rows=[["a", "b"], ["c", "d"]], index=11)
    text = world.call("get_doc_content", document_id=world.doc)["text"]
    assert text.index("| a | b |") < text.index("| c | d |") < text.index("Second line") < text.index("| z |")


def test_all_tabs_of_a_document_are_read_or_one(world):
    world.fake.room("drive")["docs"][world.doc]["tabs"] = ["Other words\n"]
    read = world.call("get_doc_content", document_id=world.doc)
    assert [tab["title"] for tab in read["tabs"]] == ["Main", "Tab 2"]
    assert "=== Tab 2 ===\nOther words" in read["text"]
    assert world.call("get_doc_content", document_id=world.doc, tab_id="t.1")["text"] == "Other words\n"
    with pytest.raises(ToolError, match=r"The document has no tab t\.9\."):
        world.run("get_doc_content", {"document_id": world.doc, "tab_id": "t.9"})


def test_files_are_found_read_moved_shared_and_thrown_away(world):
    (found,) = world.call("search_drive_files", query="the umbrella")["files"]
    assert found["id"] == world.file
    assert world.call("get_drive_file_content", file_id=world.shortcut)["text"] == "The umbrella plan"
    assert world.call("get_drive_file_content", file_id=world.word)["text"] == "Dear Bob\nGoodbye"
    assert world.call("get_drive_file_content", file_id=world.sheet)["text"] == "a,b\n1,2\n"
    inner = world.call("create_drive_folder", folder_name="Inner", parent_folder_id=world.folder)["file"]["id"]
    assert world.call("move_drive_file", file_id=world.file, folder_id=inner)["file"]["parents"] == [inner]
    assert [item["name"] for item in world.call("list_drive_items", folder_id=inner)["files"]] == ["plan.txt"]
    rule = world.call("share_drive_file", file_id=world.file, email="carol@example.com", role="writer")["permission"]
    assert (rule["role"], rule["email"]) == ("writer", "carol@example.com")
    world.call("remove_drive_permission", file_id=world.file, permission_id=rule["permission_id"])
    emails = [item["email"] for item in world.call("get_drive_file_permissions", file_id=world.file)["permissions"]]
    assert emails == [ALICE, BOB]
    world.call("update_drive_file_content", file_id=world.file, content="A new plan")
    assert world.call("get_drive_file_content", file_id=world.file)["text"] == "A new plan"
    world.call("trash_drive_file", file_id=world.file)
    assert world.call("list_drive_items", folder_id=inner)["files"] == []
    world.call("untrash_drive_file", file_id=world.file)
    assert len(world.call("list_drive_items", folder_id=inner)["files"]) == 1
    for _ in range(2):  # the second time it is there already
        assert world.call("move_drive_file", file_id=world.file, folder_id="root")["file"]["parents"] == ["0AROOT"]


def test_a_name_with_quotes_is_searched_for_and_not_a_query(world):
    world.call("search_drive_files", query="it's \\ 'all' mine")
    assert world.fake.sent[-1].one("q") == "(fullText contains 'it\\'s \\\\ \\'all\\' mine') and trashed = false"
    world.call("search_drive_files", query="name contains 'plan' and trashed = true")
    assert world.fake.sent[-1].one("q") == "name contains 'plan' and trashed = true"


def test_a_word_file_with_entities_is_not_unpacked(world):
    bomb = b'<!DOCTYPE x [<!ENTITY a "b">]><w:document>&a;</w:document>'
    world.fake.room("drive")["content"][world.word] = zipped(bomb)
    assert "base64" in world.call("get_drive_file_content", file_id=world.word)


def zipped(document: bytes) -> bytes:
    """A Word file of this XML."""

    made = io.BytesIO()
    with zipfile.ZipFile(made, "w") as archive:
        archive.writestr("word/document.xml", document)
    return made.getvalue()


def test_a_comment_is_answered_and_resolved(world):
    world.call("reply_drive_comment", file_id=world.doc, comment_id=world.comment, text="Done", resolve=True)
    comments = {item["comment_id"]: item for item in world.call("list_drive_comments", file_id=world.doc)["comments"]}
    assert comments[world.comment]["resolved"] is True
    assert [reply["text"] for reply in comments[world.comment]["replies"]] == ["Done"]
    assert world.call("list_drive_comments", file_id=world.doc, include_resolved=False)["comments"] == []


# --- sheets, slides and the rest ---


def test_a_sheet_is_filled_sorted_and_searched(world):
    sheet = world.call("create_spreadsheet", title="Stock", sheet_titles=["Shop", "Store"])["spreadsheet_id"]
    world.call("modify_sheet_values", spreadsheet_id=sheet, range_name="Shop!A1:B2", values=[["Pen", 2], ["Ink", 5]])
    written = world.call("append_sheet_rows", spreadsheet_id=sheet, range_name="Shop", values=[["Cap", 1]])
    assert (written["range"], written["cells"]) == ("Shop!A3", 2)
    world.call("sort_sheet_range", spreadsheet_id=sheet, sheet_id=0, range="A1:B3", column="A")
    read = world.call("read_sheet_values", spreadsheet_id=sheet, range_name="Shop!A1:B9")["values"]
    assert read == [["Cap", 1], ["Ink", 5], ["Pen", 2]]
    assert world.call("find_replace_sheet", spreadsheet_id=sheet, find="Pen", replace="Nib")["occurrences"] == 1
    world.call("modify_sheet_values", spreadsheet_id=sheet, range_name="Shop!A1:B1", clear_values=True)
    both = world.call("batch_get_sheet_values", spreadsheet_id=sheet, ranges=["Shop!A3:B3", "Store!A1:A2"])["ranges"]
    assert [item["values"] for item in both] == [[["Nib", 2]], []]


def test_a_presentation_gets_a_slide_that_says_something(world):
    slide = world.call("create_slide", presentation_id=world.deck, layout="BLANK")["object_id"]
    world.call("add_textbox", presentation_id=world.deck, page_id=slide, text="Rain", x=1, y=1, width=90, height=40)
    world.call("set_slide_text", presentation_id=world.deck, object_id=world.box, text="Hats for all")
    assert world.call("replace_text_in_presentation", presentation_id=world.deck, find="Rain", replace="Sun")["occurrences"] == 1
    read = world.call("get_presentation", presentation_id=world.deck)["slides"]
    assert [[shape["text"] for shape in item["shapes"]] for item in read] == [["Hats for all"], ["Sun"]]
    assert read[0]["notes"] == "Speak up"


def test_a_contact_keeps_what_was_not_changed(world):
    contact = world.call("update_contact", resource_name=world.person, person={"family_name": "Miller", "job_title": "Chef"})
    assert contact["contact"]["organization"] == "Acme"
    assert contact["contact"]["job_title"] == "Chef"
    (found,) = world.call("search_contacts", query="bob")["contacts"]
    assert (found["name"], found["birthday"], found["emails"]) == ("Bob Miller", "0000-02-29", [BOB])
    emptied = world.call("update_contact", resource_name=world.person, person={}, update_person_fields="phoneNumbers")
    assert "phones" not in emptied["contact"]


def test_a_form_is_filled_and_its_answers_read(world):
    form = world.call("create_form", title="Picnic")["form_id"]
    world.call("add_form_question", form_id=form, title="What?", kind="RADIO", options=["Cake", "Soup"])
    (item,) = world.call("get_form", form_id=form)["items"]
    assert (item["kind"], item["options"]) == ("choice", ["Cake", "Soup"])
    answers = world.call("list_form_responses", form_id=form, submitted_after="2026-09-01T12:00:00Z")["responses"]
    assert [(answer["response_id"], answer["answers"]) for answer in answers] == [("resp2", {"q1": ["Yes"]})]


def test_a_thread_in_chat_goes_on(world):
    world.call("send_message", space_id="spaces/team", message_text="And you?", thread=world.message["thread"]["name"])
    said = world.call("get_messages", space_id="team", thread=world.message["thread"]["name"], newest_first=False)["messages"]
    assert [item["text"] for item in said] == ["Hello all", "Hello again", "And you?"]


def test_tasks_are_made_moved_done_and_cleared(world):
    task = world.call("create_task", title="Pack", due="2026-10-01", parent=world.task)["task"]
    assert (task["due"], task["parent"]) == ("2026-10-01", world.task)
    world.call("move_task", task_id=task["task_id"])
    assert "parent" not in world.call("get_task", task_id=task["task_id"])["task"]
    done = world.call("complete_task", task_id=task["task_id"])["task"]
    assert done["status"] == "completed"
    assert world.call("reopen_task", task_id=task["task_id"])["task"]["status"] == "needsAction"
    world.call("complete_task", task_id=task["task_id"])
    world.call("clear_completed_tasks")
    assert [item["title"] for item in world.call("list_tasks")["tasks"]] == ["Buy umbrellas"]


def test_whom_an_administrator_suspends_is_suspended(world):
    assert world.call("update_user", user_key=BOB, suspended=True)["user"]["suspended"] is True
    with pytest.raises(ToolError, match=r"clashes with what is there.*\(status 409, duplicate\)"):
        world.run("add_group_member", {"group_key": "team@example.com", "email": BOB})


@pytest.mark.parametrize("due", ["2026-09-20", "2026-09-20T23:00:00-05:00", "2026-09-20T01:00:00+09:00", "20260920T1000"])
def test_a_task_is_due_on_the_day_that_was_written(world, due):
    made = world.call("create_task", title="x", due=due)["task"]
    assert made["due"] == "2026-09-20"
    assert world.fake.sent[-1].body["due"] == "2026-09-20T00:00:00Z"
    assert world.call("update_task", task_id=made["task_id"], due=due)["task"]["due"] == "2026-09-20"
    with pytest.raises(ToolError, match="is no time"):
        world.run("create_task", {"title": "x", "due": "in two days"})
