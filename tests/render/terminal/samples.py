"""Reports made up after the sketches of how traceq should look."""

from __future__ import annotations

from typing import Any

from traceq.report import (
    Block,
    Column,
    Fields,
    Graph,
    GraphEdge,
    GraphNode,
    Histogram,
    Line,
    Part,
    Report,
    Table,
    Timeline,
    TimelineRow,
    Unit,
)

MS = 1_000_000
NOON_NS = 1_795_348_800 * 1_000_000_000
SLOW, MEDIUM, FRIENDS = (
    "5b8aa5a2d2c872e8321cf37308d69df2",
    "0af7651916cd43dd8448eb211c80319c",
    "9f1c1e0a77d44f3cbb0a3b1f4f6a2e55",
)


def report(*blocks: Block, footer: tuple[Line, ...] = (), trace_url: str = "") -> Report:
    return Report("sample", {}, Table((), ()), blocks, footer, trace_url)


def text(content: str) -> Line:
    return Line((Part(content),) if content else ())


def search() -> Report:
    columns: tuple[Column[Any], ...] = (
        Column("trace_id", "trace", Unit.TRACE_ID),
        Column("root", "root", can_shrink=True),
        Column("start_ns", "start", Unit.TIME, priority=2),
        Column("duration_ns", "duration", Unit.DURATION),
        Column("share", "", Unit.BAR, priority=4),
        Column("error_count", "err", Unit.ERRORS),
        Column("span_count", "spans", Unit.COUNT, priority=3),
        Column("services", "services", can_shrink=True, priority=5),
    )
    post = "chat-service POST /rooms/{room_id}/messages"
    chat = ("chat-service 9", "notification 3", "user 2")
    rows = (
        (SLOW, post, NOON_NS + 202_118 * MS, 1_210 * MS, 1.0, 0, 14, chat),
        (MEDIUM, post, NOON_NS + 171_904 * MS, 612 * MS, 0.505, 0, 14, chat),
        (
            FRIENDS,
            "friend-service GET /friends",
            NOON_NS + 68_377 * MS,
            544 * MS,
            0.45,
            1,
            61,
            ("friend-service 58", "user 3"),
        ),
        (
            "00000000000000000000000000000001",
            "user-service GET /me",
            NOON_NS,
            15_040_000,
            0.012,
            0,
            12_345,
            ("user 3",),
        ),
    )
    footer = Line(
        (Part("4 traces from 4 services, last 1 h, newest first", "dim"), Part(" (http://localhost:16686)", "dim"))
    )
    return report(Table(columns, rows), footer=(footer,), trace_url="http://localhost:16686/trace/{trace_id}")


def _row(  # noqa: PLR0917 - a row of a drawing
    depth: int, label: str, service: str, start: float, duration: float, own: float | None = None, **more: object
) -> TimelineRow:
    own_ns = None if own is None else round(own * MS)
    return TimelineRow(
        depth=depth,
        label=label,
        service=service,
        start_ns=round(start * MS),
        duration_ns=round(duration * MS),
        self_ns=own_ns,
        **{"is_last": False, **more},  # type: ignore[arg-type]  # made up by keyword
    )


def _path(*stretches: tuple[float, float]) -> tuple[tuple[int, int], ...]:
    return tuple((round(start * MS), round(end * MS)) for start, end in stretches)


def show() -> Report:
    rows = (
        _row(
            0,
            "POST /rooms/{room_id}/messages",
            "chat-service",
            0,
            1210,
            31,
            is_last=True,
            critical=_path((0, 8), (38, 60), (1160, 1163), (1175, 1210)),
        ),
        _row(1, "GET /users/me", "user-service", 8, 15, 15, critical=_path((8, 23))),
        _row(1, "check_room_permission", "chat-service", 23, 15.2, 7.1, critical=_path((23, 27), (35.1, 38))),
        _row(2, "SELECT room_participants", "mysql", 27, 8.1, is_last=True, critical=_path((27, 35.1))),
        _row(1, "save_message_to_mongodb", "chat-service", 60, 1100, 98, critical=_path((60, 150), (1152, 1160))),
        _row(
            2,
            "mongodb.insert messages",
            "mongodb",
            150,
            1002,
            is_last=True,
            critical=_path((150, 1152)),
            note="bottleneck 83 %",
            is_flagged=True,
        ),
        _row(1, "publish_kafka_event", "chat-service", 1163, 12, 2, critical=_path((1163, 1175))),
        _row(2, "kafka.publish message.events", "kafka", 1164, 10, is_last=True),
        _row(
            3,
            "kafka.consume message.events",
            "notification-service",
            1180,
            45,
            10,
            is_last=True,
            relation="asynchronous",
            note="asynchronous, ends 15 ms after the response",
        ),
        _row(4, "send_sse_notification", "notification-service", 1185, 35, is_last=True),
        _row(1, "UPDATE last_message_time", "redis", 1190, 5, is_last=True, has_error=True),
    )
    title = Line(
        (
            Part("chat-service", "service"),
            Part(" POST /rooms/{room_id}/messages", "strong"),
            Part("   1.21 s   2026-11-22 14:03:22.118   14 spans   3 services"),
        )
    )
    return report(title, Line(), Timeline(rows, 1225 * MS))


def details() -> Report:
    rows = (
        _row(0, "GET /friends", "friend-service", 0, 480, 20, is_last=True, critical=_path((0, 10), (470, 480))),
        _row(
            1,
            "SELECT users",
            "mysql",
            10,
            380,
            critical=_path((10, 390)),
            count=47,
            note="N+1: one after the other",
            has_error=True,
            span_id="00f067aa0ba902b7",
            details=(
                (
                    "db.query.text",
                    "SELECT id, name, email FROM users WHERE id = ? AND deleted_at IS NULL ORDER BY name, email",
                ),
                ("exception.message", "Lost connection to MySQL server during query"),
            ),
        ),
        _row(1, "missing span", "", 390, 80, relation="placeholder", is_last=True, critical=_path((390, 400))),
        _row(2, "GET /users", "user-service", 400, 70, 70, is_last=True, critical=_path((400, 470))),
    )
    return report(Timeline(rows, 480 * MS))


def bottlenecks() -> Report:
    columns: tuple[Column[Any], ...] = (
        Column("rank", "", Unit.COUNT),
        Column("name", "where the time goes", can_shrink=True),
        Column("service", "service", Unit.SERVICE, can_shrink=True),
        Column("bar", "", Unit.BAR, priority=6),
        Column("critical_ns", "critical", Unit.DURATION),
        Column("share", "of all", Unit.RATIO),
        Column("slow_share", "of slow", Unit.RATIO, priority=1),
        Column("count", "in", Unit.COUNT, priority=5),
        Column("p50_ns", "p50", Unit.DURATION, priority=4),
        Column("p95_ns", "p95", Unit.DURATION, priority=3),
        Column("errors", "err", Unit.ERRORS, priority=2),
    )
    rows = (
        (1, "mongodb.insert messages", "mongodb", 0.61, 38_100 * MS, 0.61, 0.84, 200, 21 * MS, 1_002 * MS, 0),
        (2, "POST /rooms/{room_id}/messages", "chat-service", 0.10, 6_210 * MS, 0.10, 0.03, 200, 30 * MS, 41 * MS, 0),
        (3, "SELECT room_participants", "mysql", 0.062, 3_940 * MS, 0.062, 0.0004, 198, 8_120_000, 22 * MS, 2),
        (4, "kafka.publish message.events", "kafka", 0.004, 72_400_000, 0.004, None, 12_345, 940_000, 1_250_000, None),
    )  # fmt: skip
    summary = Line(
        (
            Part("200 requests of "),
            Part("chat-service", "service"),
            Part(", last 1 h      p50 174 ms   p95 1.18 s   p99 1.31 s   max 1.42 s"),
        )
    )
    counts = (1, 9, 40, 120, 200, 160, 60, 12, 3, 2, *[0] * 14, 1, 4, 6, 5, 1)
    finding = Line(
        (
            Part(" ! ", "error"),
            Part("slow query", "strong"),
            Part(
                "   mongodb.insert messages: 1.0 s in 11 of 200 requests, up to 9.8 s of critical time. "
                "Look at indexes, batch the inserts, check the pool size. e.g. "
            ),
            Part(SLOW, "hint"),
        )
    )
    conclusion = text(
        "Slow requests (the slowest 5 %) spend 84 % of their time in mongodb.insert messages; typical ones 17 %."
    )
    return report(
        summary,
        Histogram(60 * MS, 1_420 * MS, counts),
        Line(),
        Table(columns, rows),
        Line(),
        conclusion,
        Line(),
        Line((Part("Findings", "strong"),)),
        finding,
        footer=(Line(), Line((Part("next: traceq show " + SLOW, "hint"),))),
    )


def deps(view: str = "auto") -> Report:
    nodes = (
        GraphNode("user", "user-service"),
        GraphNode("chat", "chat-service"),
        GraphNode("mysql", "mysql", "database"),
        GraphNode("mongodb", "mongodb", "database"),
        GraphNode("redis", "redis", "database"),
        GraphNode("notification", "notification-service"),
    )
    edges = (
        GraphEdge("user", "chat", "auth 1.2k"),
        GraphEdge("chat", "mysql", "2.4k"),
        GraphEdge("chat", "mongodb", "1.2k"),
        GraphEdge("chat", "redis", "1.2k"),
        GraphEdge("chat", "notification", "kafka 1.2k", is_async=True),
    )
    return report(Graph(nodes, edges, view), text("from 200 traces of the last hour"))  # type: ignore[arg-type]  # a plain str


def fields() -> Report:
    return report(
        Fields(
            (
                ("trace", SLOW),
                ("start", "2026-11-22 14:03:22.118"),
                ("duration", "1.21 s"),
                (
                    "db.query.text",
                    "SELECT id, name FROM room_participants WHERE room_id = ? AND user_id IN (?, ?, ?) ORDER BY id",
                ),
                ("db.collection", "メッセージ 👩‍👩‍👧"),
                ("empty", ""),
            )
        )
    )


def graph(*edges: tuple[str, str, str], extra: tuple[GraphNode, ...] = ()) -> Graph:
    """Build a graph of services from callers, callees and labels."""
    names = sorted(
        {name for source, target, _ in edges for name in (source, target)} - {node.node_id for node in extra}
    )
    nodes = (*(GraphNode(name, name) for name in names), *extra)
    return Graph(nodes, tuple(GraphEdge(source, target, label) for source, target, label in edges))


_ALL_KINDS = (
    GraphNode("kafka", "kafka", "messaging"),
    GraphNode("db", "postgresql", "database"),
    GraphNode("stripe.com", "stripe.com", "external"),
    GraphNode("idle", "idle"),
)
GRAPHS = {
    "empty": Graph((), ()),
    "one": graph(extra=(GraphNode("user", "user-service"),)),
    "self": graph(("chat", "chat", "12"), ("chat", "mysql", "340")),
    "two-cycle": graph(("a-service", "b-service", "1.2k"), ("b-service", "a-service", "300")),
    "chain": graph(("a", "b", "10"), ("b", "c", "20"), ("c", "d", "30")),
    "diamond": graph(("a", "b", "1"), ("a", "c", "2"), ("b", "d", "3"), ("c", "d", "4")),
    "crossed": graph(*((source, target, source + target) for source in "ab" for target in "xyz")),
    "skipping": graph(*((source, target, source + target) for source, target in ("ab", "bc", "cd", "ad", "da", "ac"))),
    "kinds": graph(
        ("web", "orders", "http 9"),
        ("orders", "kafka", "3"),
        ("orders", "db", "8"),
        ("orders", "stripe.com", "2"),
        extra=_ALL_KINDS,
    ),
    "fifteen": graph(
        *(("gateway", f"svc-{number}", str(number)) for number in range(5)),
        *((f"svc-{number}", f"db-{number % 3}", str(10 * number)) for number in range(5)),
        *((f"svc-{number}", f"queue-{number % 2}", str(100 * number)) for number in range(2, 5)),
        *(("queue-0", f"worker-{number}", "7") for number in range(4)),
    ),
    "thirty": graph(*(("hub", f"leaf-{number:02}", str(number)) for number in range(29))),
}
