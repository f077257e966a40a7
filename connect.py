"""The consent page: who asks, for which profile, with which features; approve or deny. Knows no endpoint of oauth.py."""

from __future__ import annotations

from contextlib import suppress
from urllib.parse import urlencode, urlsplit

from flask import Blueprint, Response, g, request

from client_trust import describe_redirect
from errors import NotFound
from guarded import list_choices
from offers import describe_offer
from signins import about, note
from store.authorizations import AuthorizationRequest, claim_request, decide_request, find_request, keep_code
from store.clients import find_client, mark_approved
from store.codes import insert_code, insert_code_again
from store.connections import Connection, list_connections
from store.grants import list_granted_profiles, put_grant
from store.members import list_members
from store.profiles import FeatureSet, Profile, find_choice, list_profiles
from store.sessions import insert_session
from store.upstreams import list_upstreams
from store.user_clients import find_note, lift_pause
from store.users import User
from web import REPEAT_SECONDS, Refused, answer_client, browser_hash, confirm_login, current_user, now, page, see_other, state

bp = Blueprint("connect", __name__)


@bp.route("/connect", methods=["GET", "POST"])
def connect() -> Response:
    """Ask the person, and carry out the decision."""
    g.leaves_for_client = True
    request_id = request.values.get("request", "")
    user = current_user(here=page_of(request_id) if request.method == "POST" else None)
    wanted = find_own_request(request_id)
    about(client_id=wanted.client_id, request_id=wanted.id, user_id=user.id)
    if wanted.decided_at is None:
        with suppress(NotFound):  # it was decided meanwhile: of two decisions at the same moment one counts
            return answer(user, wanted)
        wanted = find_own_request(request_id)
    return answer_again(user, wanted)


def page_of(request_id: str) -> str:
    """The consent page of a request."""
    return "/connect?" + urlencode({"request": request_id})


def find_own_request(request_id: str) -> AuthorizationRequest:
    """The request that this browser brought. Raises Refused for any other."""
    wanted = find_request(state().db, request_id, browser_hash())
    if wanted is None:
        raise Refused(403, "Start again from the assistant, in this browser.", "This sign-in belongs to another browser")
    return wanted


def answer(user: User, wanted: AuthorizationRequest) -> Response:
    """Answer a request that is still to be decided. Raises NotFound if it is decided meanwhile."""
    if wanted.expires_at <= now():
        raise over()
    if not offered_profiles(user, wanted):
        return refuse_address(user, wanted)
    if request.method == "GET":
        return ask(user, wanted)
    decide = DECISIONS.get(request.form.get("decision", ""))
    return decide(user, wanted) if decide else ask(user, wanted, "Please approve or deny.")


def answer_again(user: User, wanted: AuthorizationRequest) -> Response:
    """Answer the second click of a double one like the first, whose answer the browser does not wait for any more.

    Raises Refused for anything else about a request that is decided.
    """
    decide_again = DECISIONS_AGAIN.get(request.form.get("decision", ""))
    if decide_again is None or now() >= (wanted.decided_at or 0) + REPEAT_SECONDS:
        raise over()
    return decide_again(user, wanted)


def over() -> Refused:
    """What somebody is told who comes too late, or twice."""
    message = "You have decided already, or the page was open for too long. To sign in again, start from the assistant."
    return Refused(400, message, "This sign-in is over")


def ask(user: User, wanted: AuthorizationRequest, error: str | None = None) -> Response:
    """The consent page. What is preselected works as it is."""
    profiles = offered_profiles(user, wanted)
    about(resource=wanted.resource)
    note("consent_shown")
    client = find_client(state().db, wanted.client_id)
    granted = list_granted_profiles(state().db, user.id, client.id)
    host, is_loopback = describe_redirect(wanted.redirect_uri)
    return page(
        "consent.html",
        400 if error else 200,
        error=error,
        wanted=wanted,
        client=client,
        note=find_note(state().db, user.id, client.id),
        redirect_host=host,
        document_host=urlsplit(client.id).netloc if client.kind == "cimd" else None,
        is_loopback=is_loopback,
        user=user,
        offers=[
            describe_offer(state().db, state().connectors, profile, is_granted=profile.id in granted) for profile in profiles
        ],
        selected=next((item.slug for item in profiles if item.slug == request.values.get("profile")), profiles[0].slug),
        connectors=list_choices(user),
        waiting=list_waiting(user, profiles),
    )


def list_waiting(user: User, profiles: list[Profile]) -> list[tuple[Connection, str]]:
    """The connections in these profiles that let nobody through until their person signs in at their service, each with its host.

    A server that answers without anybody having signed in wants no sign-in.
    """
    members = [member for profile in profiles for member in list_members(state().db, profile.id)]
    offered = {member.connection_id for member in members if member.is_enabled}
    upstreams = list_upstreams(state().db, user.id)
    waiting = []
    for connection in list_connections(state().db, user.id):
        standing = state().sign_ins.describe(connection) if connection.id in offered else None
        upstream = upstreams.get(connection.id)
        answers = upstream is not None and upstream.discovered_at is not None and upstream.failure is None
        if standing and standing.need and not (standing.need == "never" and answers):
            waiting.append((connection, standing.host))
    return waiting


def offered_profiles(user: User, wanted: AuthorizationRequest) -> list[Profile]:
    """The profiles to choose from: all of the person's at /mcp, one at its own address, none at anybody else's."""
    slug = urlsplit(wanted.resource).path.removeprefix("/mcp").lstrip("/")
    return [profile for profile in list_profiles(state().db, user.id) if slug in ("", profile.slug)]


def refuse_address(user: User, wanted: AuthorizationRequest) -> Response:
    """Say that an address is nobody's profile, or somebody else's, which look alike (RFC 8707 §2).

    The client hears of it only if this person has let it in before (RFC 9700 §4.11.2); else the person is told, and can mend it.
    """
    if list_granted_profiles(state().db, user.id, wanted.client_id):
        decide_request(state().db, wanted.id, now=now())
        note("consent_shown", "invalid_target")
        return send_back(wanted, error="invalid_target", error_description="This person has no profile at that address.")
    note("consent_shown", "not_found")
    message = f"You have no profile at {wanted.resource}. Add {state().settings.mcp_url} to the assistant instead."
    raise Refused(404, message, "This address is not yours")


# --- decisions ---


def approve(user: User, wanted: AuthorizationRequest) -> Response:
    """Grant, open a session, issue a code and send the browser back, all or nothing."""
    settings, chosen = state().settings, find_chosen(user, wanted)
    if chosen is None:
        return ask(user, wanted, "Please choose a profile and what the assistant may do.")
    profile, feature_set = chosen
    with state().db.write() as run:
        confirm_login(run, page_of(wanted.id))
        claim_request(run, wanted.id, now())
        mark_approved(run, wanted.client_id, now())
        lift_pause(run, user.id, wanted.client_id)
        grant_id = put_grant(run, profile.id, wanted.client_id, feature_set.id, now())
        session_id = insert_session(
            run, grant_id, wanted.resource, wanted.scope, lifetime=settings.session_max_seconds, now=now()
        )
        code = insert_code(
            run, session_id, wanted.client_id, wanted.redirect_uri, wanted.code_challenge, lifetime=settings.code_ttl_seconds,
            now=now(),
        )  # fmt: skip
        keep_code(run, wanted.id, code)
    note("consent", session_id=session_id)
    return send_back(wanted, code=code)


def approve_again(user: User, wanted: AuthorizationRequest) -> Response:
    """Send the browser back with another code for the same session. Raises Refused if one was redeemed, or the choice differs."""
    chosen, code = find_chosen(user, wanted), None
    if chosen:
        with state().db.write() as run:
            confirm_login(run, page_of(wanted.id))
            code = insert_code_again(run, wanted.id, chosen[0].id, chosen[1].id, now())
    if code is None:
        raise over()
    return send_back(wanted, code=code)


def find_chosen(user: User, wanted: AuthorizationRequest) -> tuple[Profile, FeatureSet] | None:
    """The profile and the feature set that the form names, if they are on offer."""
    form = request.form
    return find_choice(state().db, offered_profiles(user, wanted), form.get("profile"), form.get("feature_set"))


def deny(user: User, wanted: AuthorizationRequest) -> Response:
    """Close the request and tell the client so; nothing is kept (RFC 6749 §4.1.2.1)."""
    decide_request(state().db, wanted.id, now=now())
    note("consent", "access_denied")
    return refuse(wanted)


def deny_again(user: User, wanted: AuthorizationRequest) -> Response:
    """Tell the client once more. Raises Refused if the person had approved."""
    if wanted.code_hash is not None:
        raise over()
    return refuse(wanted)


def refuse(wanted: AuthorizationRequest) -> Response:
    """Send the browser back with the refusal."""
    return send_back(wanted, error="access_denied", error_description="The person did not approve.")


def send_back(wanted: AuthorizationRequest, **parameters: str) -> Response:
    """Send the browser back to the client, with what it is told."""
    return see_other(answer_client(wanted.redirect_uri, wanted.state, **parameters))


DECISIONS = {"approve": approve, "deny": deny}
DECISIONS_AGAIN = {"approve": approve_again, "deny": deny_again}
