"""A small world for the tests of Google Workspace: Alice's account with something in every corner, and a clock that waits for
nobody."""

from __future__ import annotations

import functools
import io
import itertools
import pickle
import zipfile
from typing import Any

from connector_world import Clock, PatientCall, strict
from jsonschema import Draft202012Validator

from connectors.google_workspace import CONNECTOR
from errors import SignInNeeded
from google_workspace import fake_calendar, fake_files, fake_mail, fake_more, fake_org, fake_tasks
from google_workspace.fake import ALICE, NOW, TOKEN, FakeGoogle
from tools import Call, Context, Result

TOOLS = {tool.name: tool for tool in CONNECTOR.tools}
BOB = "bob@example.com"


class SignedIn:
    """A sign-in that can be renewed as often as there are tokens."""

    def __init__(self, *tokens: str, email: str | None = ALICE):
        self.tokens, self.email, self.refusals = list(tokens), email, list[int]()

    def headers(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.tokens[0]}"}

    def refused(self, status: int, challenge: str | None) -> None:
        self.refusals.append(status)
        if status == 403 or len(self.tokens) == 1:
            raise SignInNeeded("Its person has to sign in again. Sign in at http://localhost:8000/connections/1", link="/1")
        self.tokens.pop(0)

    def account(self) -> str | None:
        return self.email


class World:
    """One fake Google, and Alice's connection to it."""

    def __init__(self, *, is_bare: bool = False) -> None:
        self.fake, self.clock = FakeGoogle(), Clock()
        self.settings: dict[str, Any] = {}
        self.signed_in = SignedIn(TOKEN)
        self.last_call = PatientCall(self.clock)
        rooms, number, names = pickle.loads(furnished() if not is_bare else pickle.dumps(({}, 100, {})))
        self.fake.rooms, self.fake.numbers = rooms, itertools.count(number)
        vars(self).update(names)

    def furnish(self) -> None:
        """Something in every corner."""
        for fill in (self.furnish_mail, self.furnish_calendars, self.furnish_files, self.furnish_drive, self.furnish_tasks):
            fill(self.fake)
        self.furnish_more()

    def furnish_mail(self, fake: FakeGoogle) -> None:
        """Mail from Bob in a thread, a page of news, a label."""
        self.mail = fake_mail.add_mail(
            fake, f"Bob Baker <{BOB}>", "Invoice 7", "Please pay until Friday.", Cc="Carol <carol@example.com>",
            files={"invoice.txt": b"100 EUR", "scan.bin": b"\xff\xfe\x00\x01"},
        )  # fmt: skip
        message = fake_mail.mail(fake)["messages"][self.mail]
        self.thread = message["threadId"]
        self.attachment, self.scan = (item["body"]["attachmentId"] for item in message["payload"]["parts"][1:])
        self.html_mail = fake_mail.add_mail(
            fake,
            "news@example.com",
            "News",
            "",
            html="<style>p{}</style><p>Hello<br>there</p><script>no</script>",
            labels=("INBOX",),
        )
        for number in range(3):
            fake_mail.add_mail(fake, BOB, f"Note {number}", "Short.", labels=("INBOX",), thread=self.thread)
        self.label = fake.new_id("Label_")
        fake_mail.mail(fake)["labels"][self.label] = {"id": self.label, "name": "Bills", "type": "user"}

    def furnish_calendars(self, fake: FakeGoogle) -> None:
        """A meeting with Bob, something every week, a day off; another calendar, and Bob's."""
        self.meeting = fake_calendar.add_event(
            fake, "Planning", "2026-09-22T10:00:00Z", "2026-09-22T11:00:00Z",
            attendees=[{"email": BOB, "responseStatus": "accepted"}, {"email": ALICE, "self": True}],
            attachments=[{"title": "Plan", "fileUrl": "https://drive.google.com/plan"}],
        )  # fmt: skip
        self.weekly = fake_calendar.add_event(
            fake, "Weekly", "2026-09-23T09:00:00+00:00", "2026-09-23T09:30:00+00:00", recurrence=["RRULE:FREQ=WEEKLY;COUNT=4"]
        )
        self.holiday = fake_calendar.add_event(fake, "Day off", "2026-09-25", "2026-09-26")
        calendars = fake_calendar.room(fake)
        self.calendar = "team@group.calendar.google.com"
        calendars["calendars"][self.calendar] = {"id": self.calendar, "summary": "Team", "accessRole": "writer"}
        calendars["events"][self.calendar], calendars["acl"][self.calendar] = {}, {}
        calendars["events"][BOB] = {}

    def furnish_files(self, fake: FakeGoogle) -> None:
        """A folder with a file, a document, a sheet, a file of Word's, and a shortcut."""
        self.folder = fake_files.add_file(fake, "Papers", mime_type=fake_files.GOOGLE + "folder")
        self.file = fake_files.add_file(fake, "plan.txt", b"The umbrella plan", parent=self.folder)
        self.doc, self.sheet = (
            fake_files.add_doc(fake, "Report", "First line\nSecond line"),
            fake_files.add_sheet(fake, "Budget", [["Item", "Price"], ["Pen", 2], ["Ink", 5]]),
        )
        self.word = fake_files.add_file(fake, "letter.docx", word_file("Dear Bob", "Goodbye"), WORD)
        details = {"targetId": self.file}
        self.shortcut = fake_files.add_file(fake, "to plan", b"", fake_files.GOOGLE + "shortcut", shortcutDetails=details)

    def furnish_drive(self, fake: FakeGoogle) -> None:
        """Comments on the document, one who may see the file, shared drives."""
        self.comment = "comment1"
        comments = fake_files.room(fake)["comments"][self.doc]
        for name, resolved in ((self.comment, False), ("comment2", True)):
            comments[name] = {
                "id": name,
                "content": f"On {name}",
                "author": {"displayName": "Bob"},
                "resolved": resolved,
                "replies": [],
            }
        fake_files.room(fake)["permissions"][self.file]["p2"] = {
            "id": "p2",
            "role": "reader",
            "type": "user",
            "emailAddress": BOB,
        }
        self.drive = "drive1"
        fake_files.room(fake)["drives"] = {name: {"id": name, "name": name} for name in ("drive1", "drive2")}

    def furnish_tasks(self, fake: FakeGoogle) -> None:
        """A task to do, one that is done, and a second list."""
        self.task = fake_tasks.add_task(fake, "Buy umbrellas", due="2026-09-30T00:00:00.000Z")
        self.done_task = fake_tasks.add_task(fake, "Sell raincoats", status="completed")
        self.other_list = "list2"
        fake_tasks.room(fake)["lists"]["list2"] = {"id": "list2", "title": "Later"}
        fake_tasks.room(fake)["tasks"]["list2"] = {}

    def furnish_more(self) -> None:
        """A presentation, a form, contacts, a space with messages."""
        fake = self.fake
        self.deck = fake_more.add_deck(fake, "Umbrellas for all")
        slide = fake_more.decks(fake)[self.deck]["slides"][0]
        self.slide, self.box = slide["objectId"], slide["pageElements"][0]["objectId"]
        self.form = fake_more.add_form(fake, "Party")
        self.person = fake_more.add_person(fake, "Bob", "Baker", BOB)
        fake_more.add_person(fake, "Carol", "Cook", "carol@example.com")
        for user in ("alice", "bob"):
            fake_org.add_member(fake, "team", user)
        self.message = fake_org.add_message(fake, "team", "Hello all")
        fake_org.add_message(fake, "team", "Hello again", self.message["thread"]["name"])

    def context(self, call: Call | None = None) -> Context:
        """What a tool gets."""
        self.last_call = call or PatientCall(self.clock)
        return Context(
            connection_id="alice",
            settings=self.settings,
            secrets={"access_token": TOKEN},
            fetch=self.fake,  # type: ignore[arg-type]
            cache=None,  # type: ignore[arg-type]
            shared_cache=None,  # type: ignore[arg-type]
            storage=None,
            now=NOW,
            call=self.last_call,
            signed_in=self.signed_in,
        )

    def run(self, name: str, arguments: dict[str, Any], call: Call | None = None) -> Result:
        """Call a tool as the toolbox does; its arguments must fit its schema."""
        assert mistakes(name, arguments) == []
        return TOOLS[name].run(self.context(call), arguments)

    def call(self, name: str, /, **arguments: Any) -> dict[str, Any]:
        """What a tool answers, which must fit its output schema; and nothing it sent may differ from Google's description."""
        answer = self.run(name, arguments).structured
        assert answer is not None
        closed(name).validate(answer)
        assert self.fake.problems == []
        return answer


@functools.cache
def furnished() -> bytes:
    """What is in a furnished world: it takes long to put there, and is quickly copied."""
    world = World(is_bare=True)
    bare = set(vars(world))
    world.furnish()
    names = {name: value for name, value in vars(world).items() if name not in bare}
    return pickle.dumps((world.fake.rooms, next(world.fake.numbers), names))


WORD = "application/vnd.openxmlformats-officedocument.wordprocessingml.document"


def word_file(*lines: str) -> bytes:
    """A Word file with these paragraphs."""
    space = "http://schemas.openxmlformats.org/wordprocessingml/2006/main"
    body = "".join(f"<w:p><w:r><w:t>{line}</w:t></w:r></w:p>" for line in lines)
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w") as archive:
        archive.writestr("word/document.xml", f'<w:document xmlns:w="{space}"><w:body>{body}</w:body></w:document>')
    return made.getvalue()


def mistakes(name: str, arguments: dict[str, Any]) -> list[str]:
    """What a tool's input schema finds wrong with some arguments."""
    return [error.message for error in checker(name).iter_errors(arguments)]


@functools.cache
def checker(name: str) -> Draft202012Validator:
    """A tool's input schema."""
    return Draft202012Validator(TOOLS[name].input_schema)


@functools.cache
def closed(name: str) -> Draft202012Validator:
    """A tool's output schema, taking no member that it does not name."""
    return strict(TOOLS[name].output_schema)
