"""Which addresses are public, and which URLs hide something."""

from __future__ import annotations

import pytest

from addresses import NETWORKS, Kind, Target, is_address, join_host, judge, parse_url


def words(text: str) -> list[str]:
    return text.split()


NEVER = words("""
    0.0.0.0 0.1.2.3 100.100.100.200 168.63.129.16 169.254.169.254 169.254.170.2 192.0.0.8 192.0.0.192 192.0.2.1 192.31.196.1
    192.52.193.1 192.88.99.1 192.175.48.1 198.18.0.1 198.51.100.1 203.0.113.1 224.0.0.1 239.255.255.255 240.0.0.1 255.255.255.255
    :: ::127.0.0.1 ::ffff:127.0.0.1 ::ffff:8.8.8.8 ::ffff:169.254.169.254 64:ff9b::7f00:1 64:ff9b::8.8.8.8 64:ff9b:1::1 100::1
    2001::1 2001:0:7f00:1:: 2001:2::1 2001:10::1 2001:20::1 2001:db8::1 2002:7f00:1:: 2620:4f:8000::1 3fff::1 4000::1 5f00::1
    fd00:42::42 fd00:c1::a9fe:a9fe fd00:ec2::254 fd20:ce::254 fe80::1 fe80::1%eth0 fe80::a9fe:a9fe fec0::1 ff02::1
""")
PRIVATE = words("""
    10.0.0.1 100.64.0.1 100.127.255.255 127.0.0.1 127.255.255.254 172.16.0.1 172.31.255.255 192.168.1.5 ::1 fc00::1 fd12:3456::1
""")
PUBLIC = words("""
    1.1.1.1 8.8.8.8 9.255.255.255 11.0.0.0 93.184.216.34 100.63.255.255 100.128.0.0 172.15.255.255 172.32.0.0 192.0.1.0
    192.167.0.1 198.17.255.255 198.20.0.0 223.255.255.255 2001:200::1 2001:4860:4860::8888 2606:4700:4700::1111 2a00:1450::1
    3ffe::1
""")


@pytest.mark.parametrize(
    ("kind", "address"),
    [(kind, address) for kind, some in ((Kind.NEVER, NEVER), (Kind.PRIVATE, PRIVATE), (Kind.PUBLIC, PUBLIC)) for address in some],
)
def test_it_judges_an_address(kind: Kind, address: str):
    assert judge(address)[0] is kind


def test_it_calls_nothing_public_that_the_standard_library_does_not():
    """Our table is the stricter one, looked at on both sides of every border it has."""
    ends = {end for network, _, _ in NETWORKS if network.prefixlen for end in (network[0], network[-1])}
    borders = ends.union(*map(beside, ends))
    public = {ip for ip in borders if judge(str(ip))[0] is Kind.PUBLIC}
    assert len(public) > 20
    assert {str(ip) for ip in public if not ip.is_global} == set()


def beside(ip):
    return [type(ip)(number) for number in (int(ip) - 1, int(ip) + 1) if 0 <= number < 2**ip.max_prefixlen]


def test_no_network_of_the_table_hides_behind_an_earlier_one():
    for index, (network, _, _) in enumerate(NETWORKS):
        earlier = [other for other, _, _ in NETWORKS[:index] if other.version == network.version]
        assert not any(network.subnet_of(other) for other in earlier), network


def test_it_does_not_judge_a_name():
    with pytest.raises(ValueError):
        judge("alice.example")
    assert not is_address("alice.example")


@pytest.mark.parametrize(
    ("url", "target"),
    [
        ("https://alice.example/c.json", Target("https", "alice.example", 443)),
        ("https://alice.example", Target("https", "alice.example", 443)),
        ("https://alice.example?a=b", Target("https", "alice.example", 443)),
        ("HTTPS://Alice.Example:8443/c?x=../y", Target("https", "alice.example", 8443)),
        ("http://home_assistant:8123/api", Target("http", "home_assistant", 8123)),
        ("http://192.168.1.5:3000/mcp", Target("http", "192.168.1.5", 3000)),
        ("http://[FD00:0:0::5]/mcp", Target("http", "fd00::5", 80)),
        ("https://alice.example/.well-known/a..b/...", Target("https", "alice.example", 443)),
        ("https://xn--bcher-kva.example/", Target("https", "xn--bcher-kva.example", 443)),
    ],
)
def test_it_finds_where_a_url_leads(url: str, target: Target):
    assert parse_url(url) == target


@pytest.mark.parametrize(
    "url",
    [
        "",
        None,
        5,
        "alice.example/c.json",
        "//alice.example/c.json",
        "https:alice.example",
        "https:///c.json",
        "ftp://alice.example/",
        "file:///etc/passwd",
        "gopher://alice.example/",
        "javascript:alert(1)",
        "https://alice@alice.example/",
        "https://alice:secret@alice.example/",
        "https://@alice.example/",
        "https://alice.example/c.json#",
        "https://alice.example/c.json#part",
        "https://alice.example\\@charlie.example/",
        "https://alice.example/a\\b",
        "https://alice.example/a b",
        " https://alice.example/",
        "https://alice.example/\n",
        "https://alice.example/\r\nHost: charlie.example",
        "https://alice.example/\t",
        "https://alice.example/\x00",
        "https://alice.example/\x7f",
        "https://alice.example/é",
        "https://bücher.example/",
        "https://\u212aate.example/",  # the Kelvin sign, which lower() turns into a plain k
        "https://①②⑦.0.0.1/",
        "https://127.0.0.１/",  # a fullwidth digit
        "https://alice%2eexample/",
        "https://alice.example/" + "a" * 2027,
    ],
)
def test_it_refuses_a_url_that_hides_something(url: str):
    with pytest.raises(ValueError, match="not an address that can be fetched"):
        parse_url(url)


def test_it_takes_a_url_of_just_2048_characters():
    assert parse_url("https://alice.example/" + "a" * 2026).host == "alice.example"


@pytest.mark.parametrize(
    "host",
    words("0x7f.1 0x7f000001 2130706433 0 127.1 010.0.0.1 1.2.3.4.5 256.1.1.1 a.0x1 [1::2::3] [1.2.3.4]"),
)
def test_it_refuses_a_number_that_resolvers_would_take_for_an_address(host: str):
    with pytest.raises(ValueError, match="not an IP address in its usual form"):
        parse_url(f"https://{host}/")


@pytest.mark.parametrize("host", ["alice.example.", ".alice.example", "alice..example", "-alice.example", "a" * 64 + ".example"])
def test_it_refuses_a_malformed_host_name(host: str):
    with pytest.raises(ValueError, match="not a host name"):
        parse_url(f"https://{host}/")


@pytest.mark.parametrize("port", ["0", "00000", "65536", "70000", "99999"])
def test_it_refuses_a_port_that_does_not_exist(port: str):
    with pytest.raises(ValueError, match="ports go from 1 to 65535"):
        parse_url(f"https://alice.example:{port}/")


@pytest.mark.parametrize("path", ["/./", "/../", "/a/..", "/a/.", "/%2e/", "/%2e%2e/c", "/%2E.", "/.%2e", "/a/%2e%2E?b"])
def test_it_refuses_a_path_that_climbs(path: str):
    with pytest.raises(ValueError, match=r"has \. or \.\. as a part of its path"):
        parse_url(f"https://alice.example{path}")


def test_it_writes_an_ipv6_address_in_brackets():
    assert join_host("::1", 80) == "[::1]:80"
    assert join_host("alice.example", 80) == "alice.example:80"
