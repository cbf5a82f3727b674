"""Names that findings keep from one run to the next, and what was decided about findings under these names."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Mapping
from datetime import date

from msgspec import Struct

from traceq.analysis.wording import of_statement
from traceq.semantics import Peer

_ADDRESS = re.compile(r"\d{1,3}(?:\.\d{1,3}){3}|\[?[0-9a-fA-F]{0,4}(?::[0-9a-fA-F]{0,4}){3,7}\]?")
_PORT = re.compile(r":\d+$")
_DIGITS = 10
"""Number of hexadecimal digits of a signature's hash."""
_SHOWN = 80
"""Number of characters of the operation that a signature shows; its hash is of the whole name."""


def signature_of(kind: str, call: tuple[str, str], peer: Peer | None, caller: tuple[str, str]) -> str:
    """Give the name by which a finding is known again: `kind:service:operation:hash`.

    It depends on nothing that changes from run to run: on no ids, literals or numbers in names, no addresses, times or
    counts, nor on the order of spans. Statements have no part in it, since a finding may hold several.

    Args:
        kind: The kind of finding.
        call: Service and operation that it is about.
        peer: What was called.
        caller: Service and operation of the span above.
    """
    service, operation = call
    name = without_literals(operation)
    called = () if peer is None else (peer.kind, _without_address(peer.system), without_literals(peer.name))
    parts = (kind, service, name.lower(), *called, "", caller[0], without_literals(caller[1]).lower())
    found = hashlib.blake2b("\0".join(parts).encode("utf-8", "surrogatepass"), digest_size=_DIGITS // 2)
    return f"{kind}:{service}:{name[:_SHOWN]}:{found.hexdigest()}"


def without_literals(name: str) -> str:
    """Write `?` for the values in a name that is a statement, and for numbers in any other."""
    alike = of_statement(name).alike
    is_same = "".join(name.lower().split()) == "".join(alike.split())
    return " ".join(name.split()) if is_same else alike


def _without_address(system: str) -> str:
    return without_literals(_PORT.sub("", _ADDRESS.sub("?", system)))


class Acknowledgement(Struct, frozen=True):
    """A decision to leave a finding as it is."""

    signature: str
    reason: str
    by: str = ""
    expires: date | None = None
    """The last day on which it holds; None for no end."""

    def holds(self, today: date) -> bool:
        """Tell whether it has not expired."""
        return self.expires is None or today <= self.expires


class Review(Struct, frozen=True):
    """What was decided about findings, and which were there before."""

    acknowledged: Mapping[str, Acknowledgement] = {}
    """By signature; those that hold."""
    expired: tuple[Acknowledgement, ...] = ()
    known: frozenset[str] | None = None
    """The signatures of all findings of before; None where that was not asked for."""

    def notes(self, signatures: Iterable[str]) -> tuple[str, ...]:
        """Say which decisions have expired, and which are about nothing that was found.

        Args:
            signatures: Those of all findings.
        """
        found = set(signatures)
        expired = (f"the acknowledgement of '{each.signature}' expired on {each.expires}" for each in self.expired)
        unknown = (
            f"'{signature}' is acknowledged, but was not found: is it done?"
            for signature in self.acknowledged
            if signature not in found
        )
        return (*expired, *unknown)


def reviewed_by(acknowledgements: Iterable[Acknowledgement], today: date, known: frozenset[str] | None) -> Review:
    """Put decisions together that hold on a day, and those that have expired."""
    every = tuple(acknowledgements)
    holding = {each.signature: each for each in every if each.holds(today)}
    return Review(holding, tuple(each for each in every if not each.holds(today)), known)
