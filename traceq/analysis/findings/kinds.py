"""Every kind of finding: its title, its evidence in words, its advice and its detector.

A new kind of finding is a detector, an entry here and a line in docs/analyses/findings.md. Where the database makes a
difference, what to try is said in its words.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable

from msgspec import Struct

from traceq.analysis.errors import failure_of
from traceq.analysis.findings import alike, series, single
from traceq.analysis.findings.sightings import Scene, Sightings
from traceq.analysis.naming import of_statement
from traceq.errors import near
from traceq.semantics import Peer
from traceq.traces import Span
from traceq.units import format_count, format_duration, plural


class Evidence(Struct, frozen=True):
    """How often and how long something was seen, as text for sentences."""

    sighting_count: int
    span_count: int
    """The number of spans in all sightings."""
    most_spans: int
    """The largest number of spans in one sighting."""
    flagged_count: int
    """The number of sightings that are special: for an N+1, its calls run side by side; for an error, the
    span above failed too."""
    longest_ns: int
    median_ns: int

    @property
    def up_to(self) -> str:
        """The words before a figure that is the greatest of several."""
        return "up to " if self.sighting_count > 1 else ""

    @property
    def calls(self) -> str:
        """The number of spans of the largest sighting."""
        return format_count(self.most_spans)

    @property
    def longest(self) -> str:
        """The duration of the longest sighting."""
        return format_duration(self.longest_ns)


def _alike_calls(seen: Evidence) -> str:
    in_turn, at_once = seen.flagged_count < seen.sighting_count, seen.flagged_count > 0
    ways = " or ".join(way for way, is_met in (("one after the other", in_turn), ("side by side", at_once)) if is_met)
    return f"{seen.up_to}{seen.calls} alike calls {ways}, {seen.longest} together"


def _slow_query(seen: Evidence) -> str:
    if seen.sighting_count == 1:
        return seen.longest
    return f"{seen.longest} at most, median {format_duration(seen.median_ns)}"


def _attempts(seen: Evidence) -> str:
    if seen.most_spans == 1:
        return f"tried again, {seen.up_to}{seen.longest} until the last attempt"
    return f"{seen.up_to}{seen.calls} attempts, {seen.longest} until the last"


def _failure(_: Scene, span: Span) -> str:
    return failure_of(span).text if span.has_error else ""


def _missing_parent(_: Scene, span: Span) -> str:
    return f"parent {span.parent_id} is missing"


def _clock(scene: Scene, span: Span) -> str:
    parent = int(scene.recorded.parents[span.row])
    caller = scene.spans.traces.span(parent)
    shift_ns = scene.examined.skew.shift_ns
    moved_ns = int(shift_ns[span.row] - shift_ns[parent])
    where, other = span.host or span.service, caller.host or caller.service
    direction = "behind" if moved_ns > 0 else "ahead of"
    return f"the clock of {where} is about {format_duration(abs(moved_ns))} {direction} that of {other}"


def _nothing(_: Scene, __: Span) -> str:
    return ""


class FindingKind(Struct, frozen=True):
    """The texts for all findings of one kind."""

    title: str
    """The title of the kind, for people."""
    evidence: Callable[[Evidence], str]
    """Describes what was seen, with the figures that matter for the kind."""
    advice: str
    """The advice where the database is not known."""
    remark: Callable[[Scene, Span], str] = _nothing
    """Gives further information about a span that stands for a finding; empty for none."""
    names_caller: bool = True
    """Whether the calling operation matters."""


KINDS: dict[str, FindingKind] = {
    "n+1": FindingKind(
        "N+1",
        _alike_calls,
        "Ask once for all of them: one call with a list of ids.",
    ),
    "m*n+1": FindingKind(
        "M*N+1",
        lambda seen: (
            f"{seen.up_to}{seen.calls} calls in a loop that makes the same few in each round, {seen.longest} together"
        ),
        "Ask once for each of them before the loop, with a list of ids, or join.",
    ),
    "slow-query": FindingKind(
        "slow query",
        _slow_query,
        "See how the database runs it: a missing index, too much data at once, or a wait for a connection?",
    ),
    "retries": FindingKind(
        "retries",
        _attempts,
        "Find out why attempts fail; limit retries and their pauses, or failing takes longest of all.",
        remark=_failure,
    ),
    "error": FindingKind(
        "error",
        lambda seen: plural(seen.span_count, "failed span"),
        "It begins here: what is above, if anything, only passes it on.",
        remark=_failure,
        names_caller=False,
    ),
    "sequential-calls": FindingKind(
        "calls in turn",
        lambda seen: f"{seen.up_to}{seen.calls} calls one after the other, in varying order, {seen.longest} together",
        "Their order varies, so none needs another's answer: make them side by side (asyncio.gather, a task group).",
    ),
    "sequential-queries": FindingKind(
        "queries in turn",
        lambda seen: f"{seen.up_to}{seen.calls} queries one after the other, in varying order, {seen.longest} together",
        "Their order varies, so none needs another's answer: make them side by side, each on its own connection.",
    ),
    "straggler": FindingKind(
        "straggler",
        lambda seen: f"{seen.up_to}{seen.calls} calls side by side, the others done {seen.up_to}{seen.longest} earlier",
        "Everything else was done and waited for this one: make it faster, start it first, or do without it.",
    ),
    "fan-out": FindingKind(
        "fan-out",
        lambda seen: f"{seen.up_to}{seen.calls} calls side by side",
        "Ask for many things in one call, and limit how many calls run at once.",
    ),
    "repeated-query": FindingKind(
        "repeated query",
        lambda seen: f"alike statements {seen.up_to}{seen.calls} times in a request, {seen.longest} together",
        "Ask once for all values; where these are the same too, run it once and pass the answer on.",
    ),
    "chatty": FindingKind(
        "chatty",
        lambda seen: f"{seen.up_to}{seen.calls} calls to answer one request, {seen.longest} together",
        "Ask for more at once: fewer, larger queries, or a cache for what seldom changes.",
    ),
    "payload": FindingKind(
        "large payload",
        lambda seen: f"very large, {seen.up_to}{seen.longest} to get it across" if seen.longest_ns else "very large",
        "Ask for less: only the fields and rows that are needed, page by page, compressed.",
        remark=single.amount_told,
    ),
    "pool": FindingKind(
        "pool exhausted",
        lambda seen: f"{seen.up_to}{seen.longest} until a call began, while as many were running as ever are",
        "It waits for a connection: make calls shorter or fewer, or the pool larger, if the other side can take it.",
    ),
    "network": FindingKind(
        "network",
        lambda seen: f"{seen.up_to}{seen.longest} between the call and the server's work",
        "Neither side works meanwhile: look at the connection pool, at DNS and TLS on every call, at proxies, "
        "and at whether the client's event loop or the server's workers are busy.",
    ),
    "gap": FindingKind(
        "gap",
        lambda seen: f"{seen.up_to}{seen.longest} before, between or after calls with nothing to show for it",
        "Nothing below it that has a span was going on: instrument it, or profile it (locks, pools, CPU, sleeps).",
    ),
    "queue-delay": FindingKind(
        "queue delay",
        lambda seen: f"{seen.up_to}{seen.longest} from sending to processing",
        "More consumers or partitions, larger batches, or less work a message; compare with consumer lag.",
    ),
    "clock-skew": FindingKind(
        "clock skew",
        lambda seen: f"{plural(seen.span_count, 'call')} moved by {seen.up_to}{seen.longest}",
        "Check NTP or chrony on both hosts; times between them are corrected by estimate.",
        remark=_clock,
        names_caller=False,
    ),
    "incomplete-trace": FindingKind(
        "incomplete trace",
        lambda seen: plural(seen.span_count, "span without the parent it names", "spans without the parents they name"),
        "The parent was not exported: a crash, a full exporter queue, other sampling, or a caller "
        "that passes on trace context and sends no spans. Whatever is missing may hold time.",
        remark=_missing_parent,
    ),
}
"""All kinds of findings, in the order in which findings of equal cost are listed."""


def detect(scene: Scene) -> tuple[Sightings, ...]:
    """Run every detector; some skip what another one explains better."""
    tried = alike.find_attempts(scene)
    again = alike.superseded(scene, tried)
    many = alike.n_plus_one(scene, again)
    alone, loops = series.rounds(scene, many)
    repeated = alike.repeated_queries(scene, many, again)
    in_turn, queries = series.sequential_calls(scene, many), series.sequential_queries(scene, many)
    large = single.payloads(scene)
    parallel = series.side_by_side(scene)
    return (
        alone,
        loops,
        repeated,
        tried.retries,
        in_turn,
        queries,
        single.chatty(scene, (many, repeated, in_turn, queries)),
        large,
        series.pool_waits(scene),
        series.stragglers(scene, parallel),
        series.fan_outs(scene, parallel, many),
        single.slow_queries(scene),
        single.network_times(scene, large),
        single.gaps(scene, alike.holders(scene, tried)),
        single.queue_delays(scene),
        single.error_origins(scene, again),
        single.skewed_clocks(scene),
        single.incomplete_traces(scene),
    )


_WRITES: dict[str, str] = {
    "mongodb": "Every index has to be written too: drop unused ones; insert in batches (insert_many); see whether it "
    "waits for a connection (maxPoolSize) or for the write concern.",
    "mysql": "Write many rows in one statement and one commit; drop unused indexes; look for lock waits and for waits "
    "on the connection pool.",
    "postgresql": "Write many rows in one statement or with COPY; drop unused indexes; look for lock waits "
    "(pg_stat_activity) and for waits on the connection pool.",
    "redis": "Send commands in one pipeline, and look for large values and for others that block (SLOWLOG).",
    "elasticsearch": "Write through _bulk, and refresh less often.",
    "cassandra": "Look for large partitions, tombstones and the consistency level.",
}
_READS: dict[str, str] = {
    "mongodb": "explain() it: without an index on the filter and the sort it reads the whole collection; fetch only "
    "the fields needed, and see whether it waits for a connection (maxPoolSize).",
    "mysql": "EXPLAIN it: is there an index for WHERE, JOIN and ORDER BY? Fetch fewer rows, and see whether it waits "
    "for locks or for the connection pool.",
    "postgresql": "EXPLAIN (ANALYZE, BUFFERS) it: is there an index for WHERE, JOIN and ORDER BY? Fetch fewer rows, "
    "and see whether it waits for locks or for the connection pool.",
    "redis": "Look for commands over whole key spaces or large values (KEYS, HGETALL, LRANGE) in SLOWLOG; use SCAN, or "
    "smaller keys.",
    "elasticsearch": "Profile it: leading wildcards, deep paging, scripts, too many shards? Filter before scoring.",
    "cassandra": "Ask by partition key: ALLOW FILTERING and large partitions read everything.",
}
_ALIASES = {"mariadb": "mysql", "postgres": "postgresql", "cockroachdb": "postgresql", "opensearch": "elasticsearch"}
_SQL = frozenset(("mysql", "mariadb", "postgresql", "postgres", "cockroachdb", "sqlite", "mssql", "oracle"))

_N_PLUS_ONE: dict[str, str] = {
    "mongodb": "Ask once with {_id: {$in: [...]}}, or join with $lookup.",
    "redis": "Ask once with MGET, or send all commands in one pipeline.",
    "elasticsearch": "Ask once with _msearch or a terms query.",
}
_IN_LIST = "Ask once with WHERE ... IN (...), or join; with an ORM, load eagerly (selectinload, joinedload)."
_HAS_LIST = "It already asks with a list: collect all ids first and ask once, or join with where they come from."
_HANDLED = "It begins here, and nothing above failed with it: it was made up for, or is hidden from the caller."
_PASSED_ON_AT_TIMES = "It begins here: some spans above only pass it on, others do without or hide it."

_SAME = "It asks for the same each time: ask once and keep the answer."
_BATCH = "Write all of them in one statement or one batch."
_HAS_ROWS = "It already writes several rows at once: collect more of them, and write fewer, larger batches."
_AT_ONCE = "Send one batched query: side by side, each of them needs a connection and is work for the database."

_LIST = re.compile(r"(?i)\bin\s*\((?!\s*select)|\bany\s*\(\s*[$?:]|\$in\b|^mget\b")
_ROWS = re.compile(r"(?i)\bvalues\s*\([^()]*\)\s*,\s*\(")
_WRITE = re.compile(r"(?i)\b(?:insert|update|delete|replace|upsert|merge|bulk|hset|set|put|save|write|index)\w*")
_READ = re.compile(r"(?i)\b(?:select|find|aggregate|get|mget|hget\w*|lrange|keys|scan|search|query|count|distinct)\b")


def advice_for(kind: str, database: Peer | None, told: tuple[str, str], seen: Evidence) -> str:
    """Give a line of advice for this database; empty where there is none in particular.

    Args:
        kind: What was found.
        database: The peer of the spans, if it is a database.
        told: Operation and statement, which distinguish reads from writes.
        seen: The evidence.
    """
    text, statement = " ".join(told), told[1]
    if kind == "error" and seen.flagged_count < seen.sighting_count:
        return _PASSED_ON_AT_TIMES if seen.flagged_count else _HANDLED
    if database is None or database.kind != "database":
        return ""
    system = database.system.lower()
    if kind == "n+1":
        at_once = seen.flagged_count == seen.sighting_count and not _LIST.search(statement)
        return _AT_ONCE if at_once and not _is_write(text) else _alike_advice(text, statement, system)
    if kind == "repeated-query" and (_is_write(text) or _LIST.search(statement)):
        return _alike_advice(text, statement, system)
    if kind == "slow-query":
        by_system = _WRITES if _is_write(text) else _READS
        return by_system.get(_ALIASES.get(system, system), "")
    return ""


def _alike_advice(text: str, statement: str, system: str) -> str:
    if _is_write(text):
        return _HAS_ROWS if _ROWS.search(statement) else _BATCH
    if _LIST.search(statement):
        return _HAS_LIST
    has_values = not statement or "?" in of_statement(statement).alike
    return _SAME if not has_values else _N_PLUS_ONE.get(system, _IN_LIST if system in _SQL else "")


def _is_write(text: str) -> bool:
    """Tell whether a query changes data, by the first word that decides it."""
    write, read = _WRITE.search(text), _READ.search(text)
    return write is not None and (read is None or write.start() < read.start())


def no_kind(text: str, kinds: Iterable[str]) -> str:
    """Say that findings of this kind do not exist, which kinds there are, and which may be meant."""
    known = tuple(kinds)
    question = near(text, known).question
    told = f"{question} There are" if question else "there are"
    return f"'{text}' is no kind of finding, {told} {', '.join(known)}"
