"""What a test does in the place of a browser: read a token, copy cookies, sign in. Holds no test."""

from __future__ import annotations

import re

import requests
from actors import FormReader, Person


def token_of(person: Person) -> str:
    """The CSRF token of a person's forms."""
    return re.findall(r'name="csrf_token" value="([^"]+)"', person.get("/admin").text)[0]


def copy_of(person: Person) -> requests.Session:
    """Another browser, with the same cookies."""
    session = requests.Session()
    session.trust_env = False
    session.cookies.update(person.session.cookies)
    for prefix, adapter in person.session.adapters.items():
        session.mount(prefix, adapter)
    return session


def signed_in(person: Person) -> requests.Response:
    """The answer to a right password."""
    form = FormReader(person.get("/login").text).forms[-1]
    data = form.values | {"username": person.name, "password": person.password}
    return person.session.post(person.base_url + "/login", data=data, allow_redirects=False, timeout=20)
