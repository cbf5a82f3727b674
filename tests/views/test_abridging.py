"""A long tree keeps what tells most, counts what it leaves out, and is still a tree."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from traceq.report import TimelineRow
from traceq.views.abridging import abridge


def row(depth: int, start: int = 0, duration: int = 10, **more: object) -> TimelineRow:
    made = TimelineRow(depth, is_last=False, label="op", service="svc", start_ns=start, duration_ns=duration)
    return replace(made, **more)


@st.composite
def trees(draw: st.DrawFn) -> list[TimelineRow]:
    """Rows of a tree, depth first; some are flagged, have failed, or hold the path."""
    rows = [row(0)]
    size = draw(st.integers(0, 400))
    # Two bytes a row: hundreds of rows drawn one by one take longer than everything else here.
    drawn = draw(st.binary(min_size=2 * size, max_size=2 * size))
    for number, (deep, told) in enumerate(zip(drawn[::2], drawn[1::2], strict=True)):
        depth = 1 + deep % min(rows[-1].depth + 1, 40)
        critical = ((number, number + 5),) if told >= 128 else ()
        rows.append(row(depth, number, span_id=str(number), has_error=told % 10 == 0, critical=critical))
    for at in draw(st.lists(st.integers(0, len(rows) - 1), max_size=3)):
        rows[at] = replace(rows[at], is_flagged=True)
    return rows


@given(trees())
def test_rows_stay_in_order_and_nothing_is_left_out_in_silence(rows: list[TimelineRow]) -> None:
    sizes = [1 + at % 3 for at in range(len(rows))]

    found = abridge(rows, sizes)

    places = {id_: at for at, id_ in enumerate(each.span_id for each in rows)}
    kept = [places[each.span_id] for each in found.rows]
    assert kept == sorted(set(kept))
    assert sum(sizes[at] for at in kept) + found.hidden_count == sum(sizes)
    # What is folded is folded into a row that is there.
    assert found.folded_count == sum(sizes[at] for at in kept) - len(kept)
    told = [each.note.rsplit(", ", 1)[-1] for each in found.rows if "below not shown" in each.note]
    assert sum(int(text.partition(" ")[0]) for text in told) == found.hidden_count
    assert [each.span_id for each in found.rows if each.is_flagged] == [
        each.span_id for each in rows if each.is_flagged
    ]
    assert len(found.rows) <= max(100, 60 + 3 * 16 + 8)


@given(trees())
def test_the_last_of_siblings_is_marked(rows: list[TimelineRow]) -> None:
    found = abridge(rows, [1] * len(rows)).rows if len(rows) > 100 else ()

    for at, each in enumerate(found):
        later = next((other.depth for other in found[at + 1 :] if other.depth <= each.depth), -1)
        assert each.is_last == (later != each.depth)


def test_few_rows_are_left_as_they_are() -> None:
    rows = [row(0), *(row(1) for _ in range(99))]

    assert abridge(rows, [1] * 100).rows == tuple(rows)


def test_a_chain_thousands_deep_is_drawn_from_both_ends() -> None:
    rows = [row(depth, span_id=str(depth)) for depth in range(5_000)]
    rows[4_000] = replace(rows[4_000], is_flagged=True, critical=((0, 9),))

    found = abridge(rows, [1] * 5_000)

    assert {"0", "1", "2", "3996", "3997", "3998", "3999", "4000", "4001"} <= {each.span_id for each in found.rows}
    assert len(found.rows) < 120
