"""One line on what to try, where the database makes a difference."""

from __future__ import annotations

import re

from traceq.semantics import Peer

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
_BATCH = "Write all of them in one statement or one batch."

_WRITE = re.compile(r"(?i)\b(?:insert|update|delete|replace|upsert|merge|bulk|hset|set|put|save|write|index)\w*")
_READ = re.compile(r"(?i)\b(?:select|find|aggregate|get|mget|hget\w*|lrange|keys|scan|search|query|count|distinct)\b")


def advice_for(kind: str, database: Peer | None, text: str) -> str:
    """Say in a line what to try with this database; empty where there is nothing special to say about it.

    Args:
        kind: What was found.
        database: What the spans talk to, if it is one.
        text: Operation and statement, which tell reads from writes.
    """
    if database is None or database.kind != "database":
        return ""
    system = database.system.lower()
    if kind == "n+1":
        return _BATCH if is_write(text) else _N_PLUS_ONE.get(system, _IN_LIST if system in _SQL else "")
    if kind == "slow-query":
        by_system = _WRITES if is_write(text) else _READS
        return by_system.get(_ALIASES.get(system, system), "")
    return ""


def is_write(text: str) -> bool:
    """Tell whether a query changes something, by the first word that says so."""
    write, read = _WRITE.search(text), _READ.search(text)
    return write is not None and (read is None or write.start() < read.start())
