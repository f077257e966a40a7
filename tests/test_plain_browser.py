"""plain_browser.py: cookies, redirects and forms, against a site that the test writes."""

from __future__ import annotations

from typing import Any

import pytest

from errors import FetchError
from fetch import Response
from plain_browser import Form, FormReader, PlainBrowser

SITE = "https://postern.example"


class Site:
    """Answers each address as it was told to, and notes what came."""

    def __init__(self, **answers: Response):
        self.answers, self.came = answers, []

    def request(self, method: str, url: str, *, trust: Any, headers: dict[str, str], form: Any = None) -> Response:
        self.came.append((method, url, headers, form))
        return self.answers[url.removeprefix(SITE + "/").partition("?")[0]]


def sent_to(location: str, **headers: str) -> Response:
    """A redirect."""
    return Response(303, {"Location": location} | headers, b"")


def test_it_keeps_cookies_also_where_several_come_in_one_header_and_a_date_has_a_comma():
    cookies = "one=1; Expires=Sun, 21 Nov 2027 08:00:00 GMT; Path=/; HttpOnly, __Host-two=b.c-d; Secure"
    site = Site(a=sent_to("/b", **{"Set-Cookie": cookies}), b=Response(200, {"Set-Cookie": "one=3; Path=/"}, b""))
    browser = PlainBrowser(site, SITE)
    browser.open(SITE + "/a")
    browser.open(SITE + "/b")
    sent = [headers.get("Cookie") for _, _, headers, _ in site.came]
    assert sent == [None, "one=1; __Host-two=b.c-d", "one=3; __Host-two=b.c-d"]


def test_it_follows_redirects_on_its_site_and_stops_before_another():
    site = Site(a=sent_to("/b?c"), b=sent_to("https://chat.example/callback?code=c"))
    page = PlainBrowser(site, SITE).open(SITE + "/a")
    assert (page.url, page.leaves_for) == (SITE + "/b?c", "https://chat.example/callback?code=c")
    assert [url for _, url, _, _ in site.came] == [SITE + "/a", SITE + "/b?c"]


@pytest.mark.parametrize("elsewhere", ["http://postern.example/", "https://postern.example:8443/", "https://postern.example.evil/"])
def test_a_site_with_another_scheme_port_or_name_is_another_site(elsewhere: str):
    assert PlainBrowser(Site(a=sent_to(elsewhere)), SITE).open(SITE + "/a").leaves_for == elsewhere


def test_it_does_not_run_in_a_circle():
    with pytest.raises(FetchError, match="redirects without end"):
        PlainBrowser(Site(a=sent_to("/a")), SITE).open(SITE + "/a")


def test_it_sends_a_form_as_it_stands_but_for_what_was_typed():
    html = '<form method="post" action="/b"><input type="hidden" name="t" value="x"><input name="n"></form>'
    site = Site(a=Response(200, {}, html.encode()), b=Response(200, {}, b""))
    browser = PlainBrowser(site, SITE)
    page = browser.open(SITE + "/a")
    browser.submit(page, page.forms[0], n="typed")
    method, url, headers, form = site.came[-1]
    assert (method, url, form) == ("POST", SITE + "/b", {"t": "x", "n": "typed"})
    assert headers == {"Origin": SITE, "Sec-Fetch-Site": "same-origin"}


def test_it_reads_boxes_lists_and_buttons_of_posted_forms_only():
    html = """
        <input name="outside" value="1">
        <form action="/search"><input name="q" value="1"></form>
        <form method="POST" action="/go">
          <input type="radio" name="r" value="1"><input type="radio" name="r" value="2" checked>
          <input type="checkbox" name="off"><input type="checkbox" name="on" checked>
          <select name="s"><option value="1"><option value="2" selected></select>
          <select name="first"><option value="1"><option value="2"></select>
          <button name="decision" value="approve"></button><button>plain</button>
        </form>
        <input name="behind" value="1">
    """
    values = {"r": "2", "on": "on", "s": "2", "first": "1"}
    assert FormReader(html).forms == [Form("/go", values, [("decision", "approve")])]
