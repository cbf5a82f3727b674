"""The address of a server, with secrets kept apart from what is shown."""

from __future__ import annotations

from dataclasses import dataclass, field
from ipaddress import ip_address
from urllib.parse import SplitResult, unquote, urlsplit


@dataclass(frozen=True, slots=True)
class Address:
    """Where a server is: scheme, host, port and base path."""

    url: str
    """For messages and requests: without user and password, and without a trailing slash."""
    scheme: str
    host: str
    """Lower case; an IPv6 address without brackets."""
    port: int
    base_path: str
    """Empty, or with a leading and without a trailing slash, such as `/jaeger`."""
    basic: str | None = field(default=None, repr=False)
    """`user:password` when the URL carried them."""

    @property
    def origin(self) -> str:
        """The URL without the base path; requests never go anywhere else."""
        return self.url.removesuffix(self.base_path) if self.base_path else self.url

    @property
    def is_loopback(self) -> bool:
        """Whether it is on this machine, by name or by address."""
        if self.host == "localhost" or self.host.endswith(".localhost"):
            return True
        try:
            return ip_address(self.host).is_loopback
        except ValueError:
            return False


_PORTS = {"http": 80, "https": 443}


def parse_address(url: str) -> Address:
    """Read the URL of a server as a user writes it.

    Raises:
        ValueError: If it is not an http or https URL with a host, or carries a query. The text shows no secrets.
    """
    parts = _split(url)
    if parts.scheme not in _PORTS or not parts.hostname:
        raise ValueError(f"'{_shown(parts)}' is not the URL of a server, write for example http://localhost:16686")
    if parts.query or parts.fragment:
        raise ValueError(f"a server's URL ends with its path, leave out what follows '{_shown(parts)}'")
    base_path = parts.path.rstrip("/")
    return Address(
        url=f"{parts.scheme}://{_host_and_port(parts)}{base_path}",
        scheme=parts.scheme,
        host=parts.hostname,
        port=parts.port or _PORTS[parts.scheme],
        base_path=base_path,
        basic=_credentials(parts),
    )


def _split(url: str) -> SplitResult:
    try:
        parts = urlsplit(url.strip())
        _ = parts.port  # the port is checked only on access
    except ValueError as error:
        # The URL is not quoted: if it cannot be taken apart, its password cannot be removed either.
        raise ValueError(f"the server's URL cannot be read ({error})") from None
    return parts


def _shown(parts: SplitResult) -> str:
    return f"{parts.scheme}://{_host_and_port(parts)}{parts.path}"


def _host_and_port(parts: SplitResult) -> str:
    return parts.netloc.rpartition("@")[2].lower()


def _credentials(parts: SplitResult) -> str | None:
    if parts.username is None:
        return None
    return f"{unquote(parts.username)}:{unquote(parts.password or '')}"
