"""Links from traces to what others know of them: a template, filled for each trace of an answer."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from string import Formatter
from typing import Any
from urllib.parse import quote

from msgspec import Struct
from msgspec.structs import replace

from traceq.report import Column, Line, Part, Report, Table
from traceq.units import NS_PER_MS, NS_PER_S, NS_PER_US, format_count, format_rfc3339

_UNITS_NS = {"ns": 1, "us": NS_PER_US, "ms": NS_PER_MS, "s": NS_PER_S}
NAMES = ("trace_id", "span_id", *(f"{end}_{unit}" for end in ("start", "end") for unit in (*_UNITS_NS, "iso")))
"""What a template may name: ids, and the start and the end of the trace or span, since 1970 or as RFC 3339."""
_SHOWN = 5
_OPAQUE = frozenset({"attributes", "resource"})
"""What holds text from traces under keys of its own."""


class LinkTemplate(Struct, frozen=True):
    """A URL with names in braces (`https://logs/?q={trace_id}&from={start_ms}`)."""

    text: str
    names: frozenset[str]

    def fill(self, known: Mapping[str, object]) -> str | None:
        """Give the URL for an object of a document; None where it does not say what the template names.

        Args:
            known: `trace_id`, and if they are known `span_id`, `start_ns`, and `duration_ns` or `latency_ns`.
        """
        values = dict(_values(known))
        if not self.names <= values.keys():
            return None
        return self.text.format_map({name: quote(value, safe="") for name, value in values.items()})


def parse_link(text: str) -> LinkTemplate:
    """Read a template.

    Raises:
        ValueError: If it is no http or https URL, names something unknown, or no trace.
    """
    if not text.startswith(("http://", "https://")):
        raise ValueError(f"'{text}' is not an http or https URL")
    try:
        fields = [(name, form, kind) for _, name, form, kind in Formatter().parse(text) if name is not None]
    except ValueError as error:
        raise ValueError(f"cannot read '{text}' ({error}): a brace that is no name is doubled") from error
    unknown = [name for name, form, kind in fields if name not in NAMES or form or kind]
    if unknown:
        raise ValueError(f"'{{{unknown[0]}}}' is not known, there are {', '.join(f'{{{name}}}' for name in NAMES)}")
    names = frozenset(name for name, *_ in fields)
    if not names & {"trace_id", "span_id"}:
        raise ValueError("the link is the same for every trace, write {trace_id} where its id is to stand")
    return LinkTemplate(text, names)


def _values(known: Mapping[str, object]) -> Iterator[tuple[str, str]]:
    for key in ("trace_id", "span_id"):
        if isinstance(known.get(key), str):
            yield key, str(known[key])
    start_ns, length_ns = known.get("start_ns"), known.get("duration_ns", known.get("latency_ns"))
    if isinstance(start_ns, int):
        yield from _times("start", start_ns)
        if isinstance(length_ns, int):
            yield from _times("end", start_ns + length_ns)


def _times(end: str, time_ns: int) -> Iterator[tuple[str, str]]:
    # An end is rounded up: what happened in the last unit is not to be cut off.
    for unit, size_ns in _UNITS_NS.items():
        yield f"{end}_{unit}", str(time_ns // size_ns if end == "start" else -(-time_ns // size_ns))
    yield f"{end}_iso", format_rfc3339(time_ns)


def with_links(report: Report, template: LinkTemplate) -> Report:
    """Put a link beside each trace: in the document, in the records, and for people."""
    found: dict[str, str] = {}
    document = _linked(report.document, template, found)
    shown = [Line((Part(f"{trace_id}: {url}", "dim"),), wraps=False) for trace_id, url in list(found.items())[:_SHOWN]]
    if len(found) > _SHOWN:
        shown.append(Line((Part(f"{format_count(len(found) - _SHOWN)} more links: --format json", "dim"),)))
    if not found:
        shown = [Line((Part("no link: the answer does not say what --link names", "dim"),))]
    return replace(
        report,
        document=document,
        records=_linked_records(report.records, template),
        footer=(*report.footer, *shown),
        links=found,
    )


def _linked(value: Any, template: LinkTemplate, found: dict[str, str]) -> Any:
    """Give a part of a document with `link` beside each `trace_id`; the links are collected in `found`."""
    if isinstance(value, Mapping):
        url = template.fill(value) if isinstance(value.get("trace_id"), str) else None
        if url is not None:
            found.setdefault(str(value["trace_id"]), url)
        made = {key: part if key in _OPAQUE else _linked(part, template, found) for key, part in value.items()}
        return {**made, "link": url} if isinstance(value.get("trace_id"), str) else made
    if isinstance(value, Sequence) and not isinstance(value, str):
        return [_linked(part, template, found) for part in value]
    return value


def _linked_records(records: Table, template: LinkTemplate) -> Table:
    keys = [column.flat_key for column in records.columns]
    ids = [key for key in keys if key.endswith("trace_id")]
    if not ids:
        return records
    before = ids[0].removesuffix("trace_id")
    rows = []
    for row in records.rows:
        told = dict(zip(keys, row, strict=True))
        known = {key.removeprefix(before): value for key, value in told.items() if key.startswith(before)}
        rows.append((*row, template.fill(known)))
    return Table((*records.columns, Column("link", "link")), tuple(rows))
