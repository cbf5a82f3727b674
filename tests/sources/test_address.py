from __future__ import annotations

import pytest

from traceq.sources.http import Address, parse_address


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        pytest.param(
            "http://localhost:16686",
            Address("http://localhost:16686", "http", "localhost", 16686, ""),
            id="a port",
        ),
        pytest.param(
            " HTTPS://Host.Example/jaeger/ ",
            Address("https://host.example/jaeger", "https", "host.example", 443, "/jaeger"),
            id="a base path",
        ),
        pytest.param("http://[::1]:1/", Address("http://[::1]:1", "http", "::1", 1, ""), id="IPv6"),
        pytest.param(
            "http://ann:p%40%2F@h/a/b",
            Address("http://h/a/b", "http", "h", 80, "/a/b", "ann:p@/"),
            id="user and password",
        ),
        pytest.param("http://ann@h", Address("http://h", "http", "h", 80, "", "ann:"), id="a user alone"),
    ],
)
def test_a_url_is_read_without_its_secrets(url: str, expected: Address) -> None:
    address = parse_address(url)

    assert address == expected
    assert address.origin + address.base_path == address.url


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("ftp://ann:s3cret@h/x", "'ftp://h/x' is not the URL of a server, write for example http://localhost:16686"),
        ("http://", "'http://' is not the URL of a server, write for example http://localhost:16686"),
        ("http://h/search?service=x", "a server's URL ends with its path, leave out what follows 'http://h/search'"),
        ("http://h/#x", "a server's URL ends with its path, leave out what follows 'http://h/'"),
        ("http://ann:s3cret@h:port", "the server's URL cannot be read"),
        ("http://ann:s3cret@[h", "the server's URL cannot be read"),
    ],
)
def test_what_is_no_url_of_a_server_is_refused_without_its_secrets(url: str, message: str) -> None:
    with pytest.raises(ValueError, match=r".") as raised:
        parse_address(url)

    assert str(raised.value).startswith(message)
    assert "s3cret" not in str(raised.value)


@pytest.mark.parametrize(
    ("host", "is_loopback"),
    [
        ("localhost", True),
        ("a.localhost", True),
        ("127.9.9.9", True),
        ("[::1]", True),
        ("10.0.0.1", False),
        ("h", False),
    ],
)
def test_loopback_hosts_are_told(host: str, *, is_loopback: bool) -> None:
    assert parse_address(f"http://{host}:1").is_loopback is is_loopback
