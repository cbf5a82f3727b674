"""What people decided about findings, and the findings of before: two files."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Mapping
from datetime import date, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from msgspec import Struct, structs

from traceq.cli.options import FilterOptions
from traceq.errors import InputError

if TYPE_CHECKING:
    from traceq.analysis.findings import Acknowledgement, Review

_KEYS = ("signature", "reason", "by", "expires")
_EXAMPLE = "write [[acknowledged]] and below it signature = '...' and reason = '...'"


class ReviewOptions(Struct, frozen=True):
    """Which findings are not to be told again."""

    acknowledged: Annotated[
        str | None,
        typer.Option(
            metavar="FILE",
            help="Findings to leave as they are (TOML: signature, reason, by, expires).",
            show_default=False,
        ),
    ] = None
    new_since: Annotated[
        str | None,
        typer.Option(
            metavar="FILE", help="Only findings that this JSON answer of before does not have.", show_default=False
        ),
    ] = None

    def of(self, answer: Mapping[str, object], filters: FilterOptions, trace: str | None = None) -> Review:
        """Read both files.

        Args:
            answer: The document of the answer that is reviewed, or of one about nothing: it says what is asked.
            filters: Which traces are looked at.
            trace: The only trace that is looked at; None for those that match.

        Raises:
            InputError: If a file cannot be read, is no answer of `findings`, or one to another question.
            typer.BadParameter: If acknowledgements cannot be understood.
        """
        from traceq.analysis.findings import reviewed_by

        decisions = () if self.acknowledged is None else read_acknowledgements(self.acknowledged)
        known: frozenset[str] | None = None
        remarks: tuple[str, ...] = ()
        if self.new_since is not None:
            query = {"trace_id": trace} if trace else filters.query(None, is_live=False).to_dict()
            known, remarks = read_signatures(self.new_since, {**answer, "query": query})
        review = reviewed_by(decisions, datetime.now().astimezone().date(), known)
        return structs.replace(review, remarks=remarks)


def read_acknowledgements(path: str) -> tuple[Acknowledgement, ...]:
    """Read what was decided about findings.

    Raises:
        InputError: If the file cannot be read.
        typer.BadParameter: If it is no TOML, or an entry is not understood; the message names file and entry.
    """
    try:
        document = tomllib.loads(_text(path, "acknowledgements"))
    except tomllib.TOMLDecodeError as error:
        raise _refused(f"'{path}' is no TOML: {error}") from error
    entries = document.pop("acknowledged", [])
    if document or not isinstance(entries, list):
        raise _refused(f"'{path}': {_EXAMPLE}")
    return tuple(_acknowledgement(f"'{path}', entry {number}", entry) for number, entry in enumerate(entries, 1))


def _acknowledgement(where: str, entry: object) -> Acknowledgement:
    from traceq.analysis.findings import Acknowledgement

    if not isinstance(entry, dict):
        raise _refused(f"{where}: {_EXAMPLE}")
    if unknown := [key for key in entry if key not in _KEYS]:
        raise _refused(f"{where}: unknown key '{unknown[0]}', there are {', '.join(_KEYS)}")
    texts = {key: entry.get(key, "") for key in _KEYS[:3]}
    if wrong := [key for key, value in texts.items() if not isinstance(value, str)]:
        raise _refused(f"{where}: '{wrong[0]}' has to be a text")
    if missing := [key for key in _KEYS[:2] if not texts[key].strip()]:
        raise _refused(f"{where}: '{missing[0]}' is missing")
    return Acknowledgement(**texts, expires=_day(where, entry.get("expires")))


def _day(where: str, value: object) -> date | None:
    if isinstance(value, str):
        try:
            value = date.fromisoformat(value)
        except ValueError as error:
            raise _refused(f"{where}: 'expires' has to be a day such as 2027-01-31, not '{value}'") from error
    if isinstance(value, datetime):
        return value.date()
    if value is None or isinstance(value, date):
        return value
    raise _refused(f"{where}: 'expires' has to be a day such as 2027-01-31")


def _refused(text: str) -> typer.BadParameter:
    return typer.BadParameter(text, param_hint="--acknowledged")


def read_signatures(path: str, asked: Mapping[str, object]) -> tuple[frozenset[str], tuple[str, ...]]:
    """Read the signatures of all findings of a JSON answer, and what there is to say about that answer.

    Args:
        path: The file.
        asked: A document that says what is asked now.

    Raises:
        InputError: If the file cannot be read, is no answer of `findings`, has a part of the findings, or those of
            another question.
    """
    hint = "write it with `traceq findings --format json -o FILE`"
    try:
        document = json.loads(_text(path, "findings of before"))
    except (ValueError, RecursionError) as error:
        raise InputError(f"'{path}' is no JSON: {error}", hint=hint) from error
    schema = document.get("schema") if isinstance(document, dict) else None
    if schema != "traceq.findings/1":
        raise InputError(f"'{path}' is no answer of `traceq findings`", hint=hint)
    if document.get("truncated") or document.get("known_count") is not None:
        # Findings that it leaves out would pass for new ones.
        raise InputError(
            f"'{path}' does not have all findings, but those of --top or --new-since",
            hint=f"{hint} and neither of both",
        )
    if different := _asked_otherwise(document, asked):
        raise InputError(
            f"'{path}' was asked something else ({different}): what it does not have need not be new",
            hint=f"{hint} and the same options",
        )
    found = document.get("findings")
    signatures = [each.get("signature") if isinstance(each, dict) else None for each in found or ()]
    if not isinstance(found, list) or not all(isinstance(each, str) for each in signatures):
        raise InputError(f"the findings in '{path}' have no signatures", hint=f"{hint} of this version")
    partial = f"'{path}' is not of all that was there then: what it does not have need not be new"
    return frozenset(map(str, signatures)), (partial,) if document.get("is_partial") else ()


_OF_THE_SOURCE = frozenset(("service", "start_ns", "end_ns", "limit"))
"""What runs of one question differ in; the service is told beside the query."""


def _asked_otherwise(before: Mapping[str, Any], now: Mapping[str, Any]) -> str:
    """Say why an answer may lack findings that another one has, though they were there; empty where nothing is known.

    What was asked about more (every service, every kind, all traces) has them too.
    """
    asked, asked_now = (_flat(each.get("asked")) for each in (before, now))
    query, query_now = (_flat(each.get("query")) for each in (before, now))
    if not asked:
        return "it does not say what"
    kinds, kinds_now = asked.pop("kinds", None), asked_now.pop("kinds", None)
    told = []
    if before.get("service") not in {None, now.get("service")}:
        told.append(f"service {before['service']}, here {now.get('service') or 'all'}")
    if kinds is not None and not set(kinds_now or (None,)) <= set(kinds):
        told.append(f"kinds {', '.join(map(str, kinds))}, here {', '.join(kinds_now or ()) or 'all'}")
    told += [f"{key} {value}, here {asked_now.get(key)}" for key, value in asked.items() if asked_now.get(key) != value]
    told += [
        f"{key} {value}, here {query_now.get(key, 'none')}"
        for key, value in query.items()
        if key not in _OF_THE_SOURCE and query_now.get(key) != value
    ]
    return "; ".join(told[:_MOST_TOLD])


_MOST_TOLD = 3


def _flat(part: object) -> dict[str, Any]:
    """Give the values of nested objects under their own names."""
    if not isinstance(part, Mapping):
        return {}
    inner = part.get("thresholds")
    flat = {key: value for key, value in part.items() if key != "thresholds"}
    return {**flat, **inner} if isinstance(inner, Mapping) else flat


def _text(path: str, what: str) -> str:
    try:
        return Path(path).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "it is no UTF-8"
        raise InputError(f"cannot read the {what} in '{path}': {reason}") from error
