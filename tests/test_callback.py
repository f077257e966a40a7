"""callback.py: a port that waits for a browser."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import closing

import pytest
import requests

import callback as module
from callback import Callback
from errors import FetchError


@pytest.fixture
def callback() -> Iterator[Callback]:
    with closing(Callback()) as made:
        yield made


def test_it_answers_with_the_url_of_the_browser_that_brings_a_code_or_an_error():
    for query in ("code=c&state=s", "error=access_denied&state=s"):
        with closing(Callback()) as waiting:
            url = f"http://127.0.0.1:{waiting.port}/cb?{query}"
            browser = threading.Thread(target=requests.get, args=(url,), kwargs={"timeout": 10})
            browser.start()
            assert waiting.wait(f"http://localhost:{waiting.port}/cb") == f"http://localhost:{waiting.port}/cb?{query}"
            browser.join()


def test_it_goes_on_waiting_after_a_request_for_an_icon(callback: Callback):
    statuses = []

    def browse() -> None:
        for path in ("/favicon.ico", "/cb?state=s", "/cb?code=c"):
            statuses.append(requests.get(f"http://127.0.0.1:{callback.port}{path}", timeout=10).status_code)

    browser = threading.Thread(target=browse)
    browser.start()
    assert callback.wait(f"http://127.0.0.1:{callback.port}/cb").endswith("/cb?code=c")
    browser.join()
    assert statuses == [404, 404, 200]


def test_it_does_not_wait_for_ever(callback: Callback, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(module, "WAIT_SECONDS", -1)
    with pytest.raises(FetchError, match="Nobody came back"):
        callback.wait("http://127.0.0.1/cb")


def test_it_listens_on_this_machine_only(callback: Callback):
    assert callback._server.server_address == ("127.0.0.1", callback.port)


def test_it_says_nothing_of_the_code_it_was_brought(callback: Callback, capfd: pytest.CaptureFixture):
    browser = threading.Thread(target=requests.get, args=(f"http://127.0.0.1:{callback.port}/cb?code=c",), kwargs={"timeout": 10})
    browser.start()
    callback.wait("http://127.0.0.1/cb")
    browser.join()
    assert capfd.readouterr() == ("", "")


def test_a_port_that_is_taken_is_told_in_a_sentence(callback: Callback):
    with pytest.raises(FetchError, match=f"^Port {callback.port} of this machine is taken by another program.$"):
        Callback(callback.port)
