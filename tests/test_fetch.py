"""The one door out: who may be reached, by which address, and how much of the answer is taken."""

from __future__ import annotations

import gzip
import socket
import threading
import time
from collections.abc import Callable, Iterator

import pytest
from raw_server import Authority, RawServer, drip, plain
from test_addresses import NEVER, PRIVATE, words

from errors import FetchError
from fetch import ANONYMOUS, OWNER, UPSTREAM, VENDOR, Fetcher, Response
from wire import open_socket

PUBLIC = "93.184.216.34"
EVERY_TRUST = (ANONYMOUS, UPSTREAM, OWNER, VENDOR)
URL = "https://alice.example/c.json"
NUMERIC = ("0x7f.1", "2130706433", "0", "①②⑦.0.0.1")
ok = plain(b'{"name": "Alice"}')


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture(scope="module")
def tls(authority: Authority):
    return authority.issue("alice.example")


class Network:
    """A pretended internet: `names` says what the resolver answers, and whatever is dialled ends at one local server."""

    def __init__(self, port: int = 0):
        self.names = {"alice.example": [PUBLIC]}
        self.lookups: list[tuple[str, int]] = []
        self.dialled: list[tuple[str, int]] = []
        self.port = port

    def resolve(self, host: str, port: int) -> list[str]:
        self.lookups.append((host, port))
        if host not in self.names:
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        return self.names[host]

    def dial(self, address: tuple[str, int], timeout: float) -> socket.socket:
        self.dialled.append(address)
        return open_socket(("127.0.0.1", self.port), timeout)


@pytest.fixture
def network() -> Network:
    return Network()


@pytest.fixture
def fetcher(network: Network, authority: Authority) -> Fetcher:
    """It may also reach the listed nas.example:8123."""
    listed = frozenset({"nas.example:8123", "192.168.1.5:8123"})
    return Fetcher(listed, network.resolve, authority.ca_file, own_host="Postern.example", dial=network.dial)


@pytest.fixture
def serve(network: Network, tls) -> Iterator[Callable[..., RawServer]]:
    """Start the one server, with alice.example's certificate unless told otherwise."""
    servers = []

    def start(answer, tls=tls) -> RawServer:
        servers.append(RawServer(answer, tls).__enter__())
        network.port = servers[-1].port
        return servers[-1]

    yield start
    for server in servers:
        server.__exit__()


# --- who may be reached ---


@pytest.mark.parametrize("address", NEVER + PRIVATE)
def test_it_refuses_a_name_that_leads_to_an_address_that_is_not_public(fetcher, network, address):
    network.names["alice.example"] = [address]
    for trust in EVERY_TRUST:
        with pytest.raises(FetchError, match=r"^alice\.example leads to an address that is not public"):
            fetcher.request("GET", URL, trust=trust)
    assert (len(network.lookups), network.dialled) == (4, [])


@pytest.mark.parametrize("address", [address for address in NEVER + PRIVATE if "%" not in address])
def test_it_refuses_an_address_that_stands_in_the_url(fetcher, network, address):
    host = f"[{address}]" if ":" in address else address
    with pytest.raises(FetchError, match="leads to an address that is not public"):
        fetcher.request("GET", f"https://{host}/", trust=OWNER)
    assert (network.lookups, network.dialled) == ([], [])


@pytest.mark.parametrize("host", NUMERIC)
def test_it_refuses_a_number_in_disguise(fetcher, network, host):
    with pytest.raises(FetchError, match=r"not an (IP address in its usual form|address that can be fetched)"):
        fetcher.request("GET", f"https://{host}/", trust=OWNER)
    assert (network.lookups, network.dialled) == ([], [])


@pytest.mark.parametrize("host", [host for host in NUMERIC if host.isascii()])
def test_even_the_systems_resolver_cannot_turn_a_number_into_loopback(host):
    with pytest.raises(FetchError, match="leads to an address that is not public"):
        Fetcher().find_addresses(host, 443, trust=OWNER)


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1"])
def test_it_refuses_this_machine_with_the_systems_resolver(host):
    with pytest.raises(FetchError, match=r"loopback .* add localhost:443|loopback .* add 127.0.0.1:443"):
        Fetcher().request("GET", f"https://{host}/", trust=OWNER)


@pytest.mark.parametrize("mixed", [[PUBLIC, "10.0.0.1"], ["10.0.0.1", PUBLIC], [PUBLIC, "2606:4700::1111", "::1"]])
def test_it_refuses_a_name_with_one_bad_address_among_good_ones(fetcher, network, mixed):
    network.names["alice.example"] = mixed
    with pytest.raises(FetchError, match="not public"):
        fetcher.request("GET", URL, trust=ANONYMOUS)
    assert network.dialled == []


def test_it_looks_up_once_and_dials_what_it_vetted(network, authority, serve):
    server, answers = serve(ok), [[PUBLIC], ["127.0.0.1"]]

    def rebind(host: str, port: int) -> list[str]:
        network.lookups.append((host, port))
        return answers.pop(0)

    fetcher = Fetcher(resolver=rebind, ca_file=authority.ca_file, dial=network.dial)
    assert fetcher.request("GET", URL, trust=ANONYMOUS).json() == {"name": "Alice"}
    assert network.lookups == [("alice.example", 443)]
    assert network.dialled == [(PUBLIC, 443)]
    assert server.heads[0].startswith("GET /c.json HTTP/1.1\r\nHost: alice.example\r\n")
    with pytest.raises(FetchError, match="not public"):  # the second request is vetted anew
        fetcher.request("GET", URL, trust=ANONYMOUS)
    assert len(network.dialled) == 1


def test_a_listed_host_and_port_opens_just_that(fetcher, network, serve):
    server = serve(ok, tls=None)
    network.names |= {"nas.example": ["192.168.1.5"], "bob.example": ["192.168.1.5"]}
    for trust in (OWNER, UPSTREAM):
        assert fetcher.request("GET", "http://nas.example:8123/api", trust=trust).status == 200
    assert fetcher.request("GET", "http://192.168.1.5:8123/api", trust=OWNER).status == 200
    assert network.dialled == [("192.168.1.5", 8123)] * 3
    for host in ("nas.example:8124", "bob.example:8123", "192.168.1.5:8124", "192.168.1.6:8123"):
        with pytest.raises(FetchError, match=f"not public: private use .* To allow it, add {host} to ALLOW_PRIVATE_UPSTREAMS"):
            fetcher.request("GET", f"http://{host}/api", trust=OWNER)
    assert len(server.heads) == 3


@pytest.mark.parametrize("trust", [ANONYMOUS, VENDOR])
def test_the_list_means_nothing_to_addresses_that_nobody_here_typed(fetcher, network, trust):
    network.names["alice.example"] = ["192.168.1.5"]
    listing = Fetcher(frozenset({"alice.example:443"}), network.resolve, dial=network.dial)
    with pytest.raises(FetchError, match="not public") as refusal:
        listing.request("GET", URL, trust=trust)
    assert "ALLOW_PRIVATE_UPSTREAMS" not in str(refusal.value)


@pytest.mark.parametrize("address", words("169.254.169.254 100.100.100.200 168.63.129.16 [fd00:ec2::254] [fe80::1] 0.0.0.0"))
def test_cloud_metadata_stays_shut_even_if_listed(network, address):
    listing = Fetcher(frozenset({f"{address}:80", "alice.example:80"}), network.resolve, dial=network.dial)
    network.names["alice.example"] = [address.strip("[]")]
    for host in (address, "alice.example"):
        with pytest.raises(FetchError, match="not public") as refusal:
            listing.request("GET", f"http://{host}/latest/meta-data", trust=OWNER)
        assert "ALLOW_PRIVATE_UPSTREAMS" not in str(refusal.value)
    assert network.dialled == []


def test_it_names_the_port_that_a_url_leaves_out(network):
    network.names["nas.example"] = ["fd12::5"]
    lonely = Fetcher(resolver=network.resolve, dial=network.dial)
    for url, name in {
        "http://nas.example/": "nas.example:80",
        "https://nas.example/": "nas.example:443",
        "http://[fd12:0::5]/": r"\[fd12::5\]:80",
    }.items():
        with pytest.raises(FetchError, match=f"add {name} to ALLOW_PRIVATE_UPSTREAMS"):
            lonely.request("GET", url, trust=OWNER)


def test_plain_http_is_for_what_the_owner_typed(fetcher, network, serve):
    serve(ok, tls=None)
    assert fetcher.request("GET", "http://alice.example/", trust=OWNER).status == 200
    for trust in (ANONYMOUS, UPSTREAM, VENDOR):
        with pytest.raises(FetchError, match=r"alice\.example has to be reached by https"):
            fetcher.request("GET", "http://alice.example/", trust=trust)
    assert network.dialled == [(PUBLIC, 80)]


@pytest.mark.parametrize("port", [22, 25, 6379, 8443])
def test_an_anonymous_address_has_no_port_of_its_own(fetcher, network, port):
    with pytest.raises(FetchError, match="has to be reached on port 443"):
        fetcher.request("GET", f"https://alice.example:{port}/c.json", trust=ANONYMOUS)
    assert network.lookups == []


def test_an_anonymous_address_may_not_be_our_own(fetcher, network):
    with pytest.raises(FetchError, match="this server itself"):
        fetcher.request("GET", "https://POSTERN.example/authorize", trust=ANONYMOUS)
    assert network.lookups == []


@pytest.mark.parametrize("url", ["https://a:b@alice.example/", "https://alice.example/#x", "https://alice.example/../x", None])
def test_a_bad_url_costs_no_lookup(fetcher, network, url):
    with pytest.raises(FetchError):
        fetcher.request("GET", url, trust=VENDOR)
    assert network.lookups == []


@pytest.mark.parametrize("addresses", [[], ["not an address"]])
def test_a_name_without_addresses_is_not_found(fetcher, network, addresses):
    network.names["alice.example"] = addresses
    with pytest.raises(FetchError, match=r"^alice\.example could not be found: it has no address\.$"):
        fetcher.request("GET", URL, trust=VENDOR)


def test_a_name_that_nobody_knows_is_not_found(fetcher):
    with pytest.raises(FetchError, match=r"^charlie\.example could not be found: no answer for this name\.$"):
        fetcher.request("GET", "https://charlie.example/", trust=VENDOR)


# --- the request that goes out ---


def test_it_sends_parameters_forms_json_and_bytes(fetcher, serve):
    server = serve(ok)
    bearer = {"Authorization": "Bearer x"}
    fetcher.request("POST", URL + "?a=1", trust=VENDOR, params={"b": "ü &"}, form={"c": "ü"}, headers=bearer)
    fetcher.request("PUT", URL, trust=VENDOR, json={"d": 1})
    fetcher.request("POST", URL, trust=VENDOR, form=b"\x00\xff", headers={"content-type": "image/png"})
    assert server.heads[0].startswith("POST /c.json?a=1&b=%C3%BC+%26 HTTP/1.1\r\n")
    assert "\r\nAuthorization: Bearer x\r\n" in server.heads[0]
    assert server.bodies == [b"c=%C3%BC", b'{"d": 1}', b"\x00\xff"]
    kinds = [line for head in server.heads for line in head.splitlines() if line.lower().startswith("content-type")]
    assert [kind.split(": ")[1] for kind in kinds] == ["application/x-www-form-urlencoded", "application/json", "image/png"]
    assert all("\r\nAccept-Encoding: identity\r\n" in head for head in server.heads)


@pytest.mark.parametrize(
    "leak", [{"headers": {"authorization": "Bearer x"}}, {"headers": {"Cookie": "a=b"}}, {"json": {}}, {"form": {"a": "b"}}]
)
def test_an_anonymous_address_gets_no_credentials(fetcher, network, leak):
    with pytest.raises(FetchError, match="anything but a bare GET"):
        fetcher.request("GET", URL, trust=ANONYMOUS, **leak)
    with pytest.raises(FetchError, match="anything but a bare GET"):
        fetcher.request("POST", URL, trust=ANONYMOUS)
    assert network.lookups == []


@pytest.mark.parametrize("name", ["Host", "content-length", "Transfer-Encoding", "Connection", "accept-encoding", "Upgrade"])
def test_a_caller_cannot_set_what_frames_the_request(fetcher, network, name):
    with pytest.raises(FetchError, match=f"The header {name} belongs to the connection"):
        fetcher.request("GET", URL, trust=VENDOR, headers={name: "charlie.example"})
    assert network.lookups == []


@pytest.mark.parametrize("value", ["a\r\nX-Evil: b", "a\nb", "a\x00", "ключ"])
def test_it_refuses_a_header_that_breaks_out_without_repeating_it(fetcher, value):
    with pytest.raises(FetchError, match=r"^The header X-Api-Key holds characters that HTTP does not carry[^:]*\.$"):
        fetcher.request("GET", URL, trust=VENDOR, headers={"X-Api-Key": value})


def test_it_refuses_a_header_name_that_breaks_out(fetcher):
    with pytest.raises(FetchError, match="name of a header"):
        fetcher.request("GET", URL, trust=VENDOR, headers={"X: a\r\nHost": "b"})


def test_it_refuses_json_that_is_none(fetcher):
    with pytest.raises(FetchError, match="could not be put together"):
        fetcher.request("POST", URL, trust=VENDOR, json={"a": float("nan")})


def test_the_environment_has_no_say(fetcher, serve, monkeypatch):
    server = serve(ok)
    for name in ("HTTPS_PROXY", "https_proxy", "ALL_PROXY", "HTTP_PROXY", "http_proxy"):
        monkeypatch.setenv(name, "http://charlie:secret@127.0.0.1:9")
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", "/nowhere")
    assert fetcher.request("GET", URL, trust=VENDOR).status == 200
    assert "authorization" not in server.heads[0].lower()


# --- the answer ---


@pytest.mark.parametrize("status", ["301 Moved", "302 Found", "303 See Other", "307 Temporary", "308 Permanent"])
def test_it_follows_no_redirect(fetcher, network, serve, status):
    with RawServer(ok) as second:
        first = serve(plain(b"", status, f"Location: http://127.0.0.1:{second.port}/"))
        answer = fetcher.request("GET", URL, trust=UPSTREAM, headers={"Authorization": "Bearer x"})
        assert answer.status == int(status[:3])
        assert answer.headers["location"].endswith(f":{second.port}/")
        with pytest.raises(FetchError, match=f"alice.example answered with status {status[:3]}"):
            fetcher.request("GET", URL, trust=ANONYMOUS)
        assert (len(first.heads), second.heads) == (2, [])
    assert network.dialled == [(PUBLIC, 443)] * 2


@pytest.mark.parametrize("status", ["201 Created", "204 No Content", "304 Not Modified", "404 Not Found", "500 Broken"])
def test_only_200_is_an_answer_from_an_anonymous_address(fetcher, serve, status):
    serve(plain(b"", status))
    assert fetcher.request("GET", URL, trust=VENDOR).status == int(status[:3])
    with pytest.raises(FetchError, match=f"answered with status {status[:3]}"):
        fetcher.request("GET", URL, trust=ANONYMOUS)


def test_headers_are_found_in_any_case_and_joined(fetcher, serve):
    serve(plain(b"x", "401 Unauthorized", "WWW-Authenticate: Basic", "www-authenticate: Bearer"))
    assert fetcher.request("GET", URL, trust=VENDOR).headers["Www-Authenticate"] == "Basic, Bearer"
    assert Response(200, {"Content-Type": "text/plain"}, b"").headers["content-type"] == "text/plain"


@pytest.mark.parametrize("body", [b"", b"<html>", b"{", b"\xff\xfe\x00", b"[" * 100_000])
def test_what_is_not_json_is_a_fetch_error(body):
    with pytest.raises(FetchError, match=r"^alice\.example answered something that is not JSON\.$"):
        Response(200, {}, body, "alice.example").json()


def test_a_response_does_not_print_what_it_holds():
    assert repr(Response(200, {"Set-Cookie": "secret"}, b"secret", "a")) == "Response(status=200, host='a')"


def test_it_reads_chunks_and_bodies_without_a_length(fetcher, serve):
    server = serve(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2;x=y\r\nde\r\n0\r\n\r\n")
    assert fetcher.request("GET", URL, trust=ANONYMOUS).body == b"abcde"
    server.answer = b"HTTP/1.0 200 OK\r\n\r\nabc"
    assert fetcher.request("GET", URL, trust=ANONYMOUS).body == b"abc"


@pytest.mark.parametrize("length", ["Content-Length: 5121\r\n", "", "Transfer-Encoding: chunked\r\n"])
def test_5_kb_are_enough_for_an_anonymous_address(fetcher, serve, length):
    def framed(size: int) -> bytes:
        body = b"x" * size
        if "chunked" in length:
            body = b"%x\r\n%s\r\n0\r\n\r\n" % (size, body)
        return f"HTTP/1.1 200 OK\r\n{length.replace('5121', str(size))}\r\n".encode() + body

    server = serve(framed(5120))
    assert fetcher.request("GET", URL, trust=ANONYMOUS, max_bytes=10**9).body == b"x" * 5120
    server.answer = framed(5121)
    with pytest.raises(FetchError, match=r"^alice\.example answered with more than 5120 bytes\.$"):
        fetcher.request("GET", URL, trust=ANONYMOUS, max_bytes=10**9)
    assert fetcher.request("GET", URL, trust=VENDOR).body == b"x" * 5121
    with pytest.raises(FetchError, match="more than 5000 bytes"):
        fetcher.request("GET", URL, trust=VENDOR, max_bytes=5000)


def test_an_endless_body_is_cut_off_at_the_cap(fetcher, serve):
    serve(drip(b"x" * 4000, 0, b"HTTP/1.1 200 OK\r\n\r\n"))
    with pytest.raises(FetchError, match="more than 100000 bytes"):
        fetcher.request("GET", URL, trust=VENDOR, max_bytes=100_000)


@pytest.mark.parametrize("coding", ["Content-Encoding: gzip", "content-encoding: deflate, gzip", "Transfer-Encoding: gzip"])
def test_a_gzip_bomb_is_not_unpacked(fetcher, serve, coding):
    bomb = gzip.compress(bytes(4_000_000))
    assert len(bomb) < 5120
    serve(plain(bomb, "200 OK", coding))
    with pytest.raises(FetchError, match="answered in a compressed form"):
        fetcher.request("GET", URL, trust=ANONYMOUS)


def test_identity_is_no_compression(fetcher, serve):
    serve(plain(b"abc", "200 OK", "Content-Encoding: identity"))
    assert fetcher.request("GET", URL, trust=ANONYMOUS).body == b"abc"


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nabc",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n64\r\nabc",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n",
    ],
)
def test_an_answer_that_is_shorter_than_it_says_is_no_answer(fetcher, serve, answer):
    serve(answer)
    with pytest.raises(FetchError, match=r"^alice\.example stopped in the middle of its answer\.$"):
        fetcher.request("GET", URL, trust=VENDOR)


def test_an_answer_that_is_longer_than_it_says_is_cut(fetcher, serve):
    serve(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}HTTP/1.1 200 OK\r\n\r\nsmuggled")
    assert fetcher.request("GET", URL, trust=VENDOR).body == b"{}"


def test_an_absurd_length_is_refused_before_the_body(fetcher, serve):
    serve(drip(b"x", 0.02, b"HTTP/1.1 200 OK\r\nContent-Length: 99999999999999\r\n\r\n"))
    with pytest.raises(FetchError, match="more than 5120 bytes"):
        fetcher.request("GET", URL, trust=ANONYMOUS)


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 200 OK\r\nX-Padding: " + b"x" * 1_000_000 + b"\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n" + b"".join(b"X-%d: %s\r\n" % (n, b"x" * 10_000) for n in range(100)) + b"\r\n",
        b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 101 + b"\r\n",
        b"not HTTP at all\r\n\r\n",
    ],
)
def test_headers_of_1_mb_are_not_read(fetcher, serve, answer):
    serve(answer)
    with pytest.raises(FetchError, match=r"^alice\.example did not answer in proper HTTP\.$"):
        fetcher.request("GET", URL, trust=VENDOR)


# --- time ---


def silence(server: RawServer, sock: socket.socket) -> None:
    server.stopping.wait()


@pytest.mark.parametrize(
    "answer",
    [
        silence,
        drip(b"x"),
        drip(b"X: y\r\n", 0.02, b"HTTP/1.1 200 OK\r\n"),
        drip(b"x", 0.02, b"HTTP/1.1 200 OK\r\nContent-Length: 5000\r\n\r\n"),
        drip(b"1\r\nx\r\n", 0.02, b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"),
        drip(b"X: y\r\n", 0.02, b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n"),
    ],
)
def test_an_answer_that_only_drips_ends_at_the_deadline(fetcher, serve, answer):
    serve(answer)
    started = time.monotonic()
    with pytest.raises(FetchError, match=r"^alice\.example did not answer in time\.$"):
        fetcher.request("GET", URL, trust=ANONYMOUS, timeout=0.3)
    assert 0.25 < time.monotonic() - started < 1


def test_a_handshake_that_does_not_end_is_left(fetcher, network):
    with socket.create_server(("127.0.0.1", 0)) as mute:
        network.port = mute.getsockname()[1]
        with pytest.raises(FetchError, match="did not answer in time"):
            fetcher.request("GET", URL, trust=ANONYMOUS, timeout=0.2)


def test_a_resolver_that_does_not_answer_is_left(authority, network):
    asleep = threading.Event()
    slow = Fetcher(resolver=lambda host, port: asleep.wait() and [PUBLIC], dial=network.dial)
    started = time.monotonic()
    with pytest.raises(FetchError, match=r"alice\.example could not be found"):
        slow.request("GET", URL, trust=ANONYMOUS, timeout=0.1)
    assert time.monotonic() - started < 1
    asleep.set()
    assert network.dialled == []


def test_an_anonymous_address_has_5_seconds_whatever_is_asked_for(network):
    waits = []

    def dial(address: tuple[str, int], timeout: float) -> socket.socket:
        waits.append(timeout)
        raise ConnectionRefusedError

    for trust in (ANONYMOUS, VENDOR):
        with pytest.raises(FetchError, match=r"^alice\.example could not be reached\.$"):
            Fetcher(resolver=network.resolve, dial=dial).request("GET", URL, trust=trust, timeout=60)
    assert [round(wait) for wait in waits] == [5, 60]


def test_a_server_that_hangs_up_is_told_apart(fetcher, serve):
    serve(b"")
    with pytest.raises(FetchError, match=r"^alice\.example closed the connection without an answer\.$"):
        fetcher.request("GET", URL, trust=VENDOR)


# --- TLS ---


@pytest.mark.parametrize(
    ("issue", "reason"),
    [
        ({"host": "bob.example"}, r"Hostname mismatch, certificate is not valid for 'alice\.example'"),
        ({"host": "alice.example", "self_signed": True}, "self-signed certificate"),
        ({"host": "alice.example", "expired": True}, "certificate has expired"),
    ],
)
@pytest.mark.parametrize("trust", EVERY_TRUST)
def test_it_refuses_a_certificate_that_does_not_prove_the_name(fetcher, network, serve, authority, issue, reason, trust):
    server = serve(ok, tls=authority.issue(**issue))
    with pytest.raises(FetchError, match=rf"^alice\.example has a certificate that cannot be trusted: {reason}\.$"):
        fetcher.request("GET", URL, trust=trust)
    assert (network.dialled, server.heads) == ([(PUBLIC, 443)], [])


def test_it_refuses_an_authority_that_nobody_added(network, serve):
    server = serve(ok)
    with pytest.raises(FetchError, match="cannot be trusted: unable to get local issuer certificate"):
        Fetcher(resolver=network.resolve, dial=network.dial).request("GET", URL, trust=VENDOR)
    assert server.heads == []


def test_the_certificate_and_sni_go_by_the_name_though_an_address_is_dialled(fetcher, network, serve, authority):
    names = []
    context = authority.issue("alice.example")
    context.sni_callback = lambda sock, name, _context: names.append(name)
    serve(ok, tls=context)
    assert fetcher.request("GET", URL, trust=ANONYMOUS).status == 200
    assert (names, network.dialled) == (["alice.example"], [(PUBLIC, 443)])


def test_it_does_not_speak_tls_with_a_server_that_speaks_none(fetcher, serve):
    serve(ok, tls=None)
    with pytest.raises(FetchError, match=r"^alice\.example (could not agree with us on an encrypted connection|did not answer)"):
        fetcher.request("GET", URL, trust=VENDOR, timeout=0.3)


# --- for those who carry requests themselves, and for many at once ---


def test_it_vets_for_those_who_dial_themselves(fetcher, network):
    network.names["alice.example"] = [PUBLIC, PUBLIC, "2606:4700::1111"]
    target = fetcher.check_url("https://alice.example/mcp", trust=UPSTREAM)
    assert fetcher.find_addresses(target.host, target.port, trust=UPSTREAM) == (PUBLIC, "2606:4700::1111")
    with pytest.raises(FetchError, match=r"add 10\.0\.0\.1:443 to ALLOW_PRIVATE_UPSTREAMS"):
        fetcher.find_addresses("10.0.0.1", 443, trust=UPSTREAM)


def test_no_name_is_dialled_more_often_than_six_times(fetcher, network):
    network.names["alice.example"] = [f"1.1.1.{number}" for number in range(50)]
    assert len(fetcher.find_addresses("alice.example", 443, trust=VENDOR)) == 6


def test_threads_may_share_it(fetcher, serve):
    serve(ok)
    answers: list[Response] = []
    threads = [threading.Thread(target=lambda: answers.append(fetcher.request("GET", URL, trust=VENDOR))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [answer.json() for answer in answers] == [{"name": "Alice"}] * 8


def test_an_error_names_the_host_and_nothing_else(fetcher, serve):
    serve(plain(b"body-secret" * 10))
    secrets = {"params": {"key": "query-secret"}, "headers": {"X-Key": "header-secret"}, "form": {"a": "form-secret"}}
    with pytest.raises(FetchError) as refusal:
        fetcher.request("POST", URL + "?key=url-secret", trust=VENDOR, max_bytes=5, **secrets)
    assert str(refusal.value) == "alice.example answered with more than 5 bytes."
