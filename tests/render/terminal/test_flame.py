from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from tests.render.terminal.drawing import assert_fits, coloured, lines
from tests.render.terminal.samples import report
from traceq.render.terminal import Canvas
from traceq.report import Flame, FlameRow


def flame() -> Flame:
    rows = (
        FlameRow(0, "POST /rooms/{room_id}/messages", "chat-service", 1_000_000, 100_000),
        FlameRow(1, "save_message_to_mongodb", "chat-service", 700_000, 100_000),
        FlameRow(2, "mongodb.insert", "chat-service", 600_000, 600_000),
        FlameRow(1, "GET", "chat-service", 150_000, 0),
        FlameRow(2, "GET /users/me", "user-service", 150_000, 150_000),
        FlameRow(1, "publish", "chat-service", 30_000, 10_000),
        FlameRow(2, "kafka", "chat-service", 20_000, 20_000),
        FlameRow(1, "check", "chat-service", 20_000, 20_000),
    )
    return Flame(rows, 1_000_000, "critical time")


def test_widths_are_in_proportion_and_narrow_frames_are_joined() -> None:
    assert lines(flame(), 62) == [
        " │POST /rooms/{room_id}/messages  100 %  1.00 ms             │",
        " │save_message_to_mongodb  70 %  700 µs    │GET 15 %│+2│",
        " │mongodb.insert  60 %  600 µs       │     │GET /us…│",
        " 3 of 8 frames are too narrow or too deep to be drawn: +n",
        " stands for n of them, --format json has all",
    ]


def test_in_ascii_it_is_the_same_picture() -> None:
    assert lines(flame(), 62, is_ascii=True)[1] == " |save_message_to_mongodb  70 %  700 us    |GET 15 %|+2|"


def test_a_comparison_has_signs_besides_colours() -> None:
    rows = (
        FlameRow(0, "POST", "chat", 1_000, 100, delta_ns=100),
        FlameRow(1, "save", "chat", 500, 500, delta_ns=300),
        FlameRow(1, "find", "chat", 400, 400, delta_ns=-200),
    )
    compared = Flame(rows, 1_000, "time", ("before", "after"))

    assert lines(compared, 62) == [
        " │POST  chat  +100 ns  100 %                                 │",
        " │save  chat  +300 ns  50 %    │find  -200 ns  40 %    │",
    ]
    written = coloured(report(compared), Canvas(62))
    assert "31msave" in written.replace("\x1b[7;", "")
    assert "34mfind" in written.replace("\x1b[7;", "")


def test_thousands_of_levels_are_counted() -> None:
    rows = tuple(FlameRow(depth, "call", "chat", 10, 10 if depth == 4_999 else 0) for depth in range(5_000))

    drawn = lines(Flame(rows, 10, "time"), 80)

    assert len(drawn) == 62
    assert drawn[-2].startswith(" 4,940 of 5,000 frames are too narrow")


_rows = st.lists(st.tuples(st.integers(0, 4), st.text(max_size=12), st.integers(0, 50)), max_size=12)


@given(_rows, st.integers(8, 120))
def test_no_flame_is_wider_than_its_canvas(made: list[tuple[int, str, int]], width: int) -> None:
    depths: list[int] = []
    for depth, *_ in made:
        depths.append(min(depth, depths[-1] + 1) if depths else 0)
    rows: list[FlameRow] = []
    for number, (_, label, own_ns) in enumerate(made):
        below = [own for other, (*_, own) in zip(depths[number + 1 :], made[number + 1 :], strict=True)]
        inside = next((at for at, other in enumerate(depths[number + 1 :]) if other <= depths[number]), len(below))
        rows.append(FlameRow(depths[number], label, "chat", own_ns + sum(below[:inside]), own_ns))

    drawn = lines(Flame(tuple(rows), sum(own for *_, own in made), "time"), width)

    assert_fits(drawn, width)
