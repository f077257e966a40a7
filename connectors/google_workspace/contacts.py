"""Contacts tools (People): list, search, read, create, change and delete contacts."""

from __future__ import annotations

from typing import Annotated, Any, NotRequired

from pydantic import Field
from typing_extensions import TypedDict

from connectors.google_workspace.api import Api, given, objects, part
from connectors.google_workspace.declare import Done, Page, PageToken, reads, writes
from errors import ToolError
from fitting import Answer, compact

READ = ("contacts.readonly", "contacts")
WRITE = ("contacts",)
MASK = "names,emailAddresses,phoneNumbers,organizations,addresses,birthdays,biographies,urls"

ResourceName = Annotated[str, Field(pattern=r"^people/[A-Za-z0-9_-]{1,100}$", description="Such as people/c123.")]
Mask = Annotated[str | None, Field(pattern=r"^[A-Za-z]+(,[A-Za-z]+)*$", description="Only these: names,emailAddresses,…")]
Texts = Annotated[list[str], Field(max_length=50)]


class Contact(TypedDict):
    """A person whom this account knows."""

    resource_name: str
    name: NotRequired[str]
    emails: NotRequired[list[str]]
    phones: NotRequired[list[str]]
    organization: NotRequired[str]
    job_title: NotRequired[str]
    addresses: NotRequired[list[str]]
    birthday: NotRequired[str]
    notes: NotRequired[str]
    urls: NotRequired[list[str]]


class Contacts(Page):
    """Contacts."""

    contacts: list[Contact]
    total: NotRequired[int]


class ContactShown(Answer):
    """The contact."""

    contact: Contact


class Person(TypedDict):
    """What is known of a person. Lists take the place of the old ones."""

    given_name: NotRequired[str]
    family_name: NotRequired[str]
    emails: NotRequired[Texts]
    phones: NotRequired[Texts]
    organization: NotRequired[str]
    job_title: NotRequired[str]
    addresses: NotRequired[Texts]
    birthday: NotRequired[Annotated[str, Field(pattern=r"^\d{4}-\d{2}-\d{2}$")]]
    notes: NotRequired[str]
    urls: NotRequired[Texts]


@reads(*READ, title="List contacts")
def list_contacts(
    api: Api, page_size: Annotated[int, Field(ge=1, le=1000)] = 50, page_token: PageToken = None, read_mask: Mask = None
) -> Contacts:
    """List Google contacts, by their names."""
    params = {
        "personFields": read_mask or MASK,
        "pageSize": page_size,
        "pageToken": page_token,
        "sortOrder": "FIRST_NAME_ASCENDING",
    }
    found = api.get("people", "people/me/connections", params)
    return {"contacts": [show_contact(item) for item in objects(found, "connections")]} | compact(
        {"next_page_token": found.get("nextPageToken"), "total": found.get("totalPeople")}
    )


@reads(*READ, title="Search contacts")
def search_contacts(
    api: Api,
    query: Annotated[str, Field(min_length=1, max_length=200, description="The beginning of a name, address or number.")],
    read_mask: Mask = None,
    page_size: Annotated[int, Field(ge=1, le=30)] = 10,
) -> Contacts:
    """Search Google contacts by the beginnings of names, mail addresses and phone numbers."""
    mask = read_mask or MASK
    api.get("people", "people:searchContacts", {"query": "", "readMask": "names"})  # Google wants this first, to look afresh
    found = api.get("people", "people:searchContacts", {"query": query, "readMask": mask, "pageSize": page_size})
    return {"contacts": [show_contact(part(item, "person")) for item in objects(found, "results")]}


@reads(*READ, title="Read contact")
def get_contact(api: Api, resource_name: ResourceName) -> ContactShown:
    """Read what is known of a Google contact."""
    return {"contact": show_contact(get_person(api, resource_name))}


@writes(*WRITE, title="Create contact")
def create_contact(api: Api, person: Person) -> ContactShown:
    """Create a Google contact of this account."""
    body = write_person(person)
    if not body:
        raise ToolError("Say something about the person.")
    return {"contact": show_contact(api.post("people", "people:createContact", body, {"personFields": MASK}))}


@writes(*WRITE, title="Change contact", destructive=True, idempotent=True)
def update_contact(
    api: Api,
    resource_name: ResourceName,
    person: Person,
    update_person_fields: Annotated[
        Mask, Field(description="Also emptied if `person` does not have them: phoneNumbers,…")
    ] = None,
) -> ContactShown:
    """Change a Google contact. What is left out stays as it is."""
    old, body = get_person(api, resource_name), write_person(person)
    if "names" in body:
        body["names"] = [kept(old, "names", ("givenName", "familyName", "middleName")) | body["names"][0]]
    if "organizations" in body:
        body["organizations"] = [kept(old, "organizations", ("name", "title")) | body["organizations"][0]]
    fields = dict.fromkeys([*body, *(update_person_fields or "").split(",")])
    names = [name for name in fields if name]
    if not names:
        raise ToolError("Name what shall change.")
    person_id = resource_name.removeprefix("people/")
    params = {"updatePersonFields": ",".join(names), "personFields": MASK}
    body |= given(etag=old.get("etag"))
    return {"contact": show_contact(api.patch("people", "people/{person_id}:updateContact", body, params, person_id=person_id))}


@writes(*WRITE, title="Delete contact", destructive=True, idempotent=True)
def delete_contact(api: Api, resource_name: ResourceName) -> Done:
    """Delete a contact. Google keeps it in its trash for 30 days."""
    api.delete("people", "people/{person_id}:deleteContact", person_id=resource_name.removeprefix("people/"))
    return {"done": f"Deleted contact {resource_name}."}


# --- parts of them ---


def get_person(api: Api, resource_name: str) -> dict[str, Any]:
    """A contact."""
    return api.get("people", "people/{person_id}", {"personFields": MASK}, person_id=resource_name.removeprefix("people/"))


def kept(old: dict[str, Any], name: str, members: tuple[str, ...]) -> dict[str, Any]:
    """What the first of several said, as far as it can be written again."""
    first = next(iter(objects(old, name)), {})
    return {member: first[member] for member in members if member in first}


def write_person(person: Person) -> dict[str, Any]:
    """A person as Google takes it."""
    body = {
        "names": [compact({"givenName": person.get("given_name"), "familyName": person.get("family_name")})],
        "emailAddresses": [{"value": value} for value in person.get("emails", [])],
        "phoneNumbers": [{"value": value} for value in person.get("phones", [])],
        "organizations": [compact({"name": person.get("organization"), "title": person.get("job_title")})],
        "addresses": [{"formattedValue": value} for value in person.get("addresses", [])],
        "biographies": [compact({"value": person.get("notes")})],
        "urls": [{"value": value} for value in person.get("urls", [])],
    }
    if "birthday" in person:
        year, month, day = map(int, person["birthday"].split("-"))
        body["birthdays"] = [{"date": {"year": year, "month": month, "day": day}}]
    return {name: items for name, items in body.items() if any(items)}


def show_contact(item: dict[str, Any]) -> dict[str, Any]:
    """A contact."""
    name, work = next(iter(objects(item, "names")), {}), next(iter(objects(item, "organizations")), {})
    facts = {
        "name": name.get("displayName") or " ".join(filter(None, (name.get("givenName"), name.get("familyName")))),
        "emails": values(item, "emailAddresses"),
        "phones": values(item, "phoneNumbers"),
        "organization": work.get("name"),
        "job_title": work.get("title"),
        "addresses": values(item, "addresses", "formattedValue"),
        "birthday": birthday_of(item),
        "notes": "\n".join(values(item, "biographies")),
        "urls": values(item, "urls"),
    }
    return {"resource_name": str(item.get("resourceName", ""))} | compact(facts)


def values(item: dict[str, Any], name: str, member: str = "value") -> list[str]:
    """One member of each of several."""
    return [str(entry[member]) for entry in objects(item, name) if entry.get(member)]


def birthday_of(item: dict[str, Any]) -> str | None:
    """A birthday, as far as it is known."""
    date = part(next(iter(objects(item, "birthdays")), {}), "date")
    if not date.get("month") or not date.get("day"):
        return None
    return f"{date.get('year') or 0:04}-{date['month']:02}-{date['day']:02}"


TOOLS = (list_contacts, search_contacts, get_contact, create_contact, update_contact, delete_contact)
