from __future__ import annotations

from itertools import permutations

from hypothesis import given
from hypothesis import strategies as st

from traceq.analysis.unmatched import NameQuestion, NameSums, TimesFound, unknown_services
from traceq.query import TraceQuery
from traceq.where import parse_where


class Server:
    def __init__(self) -> None:
        self.asked = 0

    def services(self) -> tuple[str, ...]:
        self.asked += 1
        return ("chat-service", "kafka")


def test_a_server_is_asked_for_its_services_only_where_a_condition_names_some() -> None:
    server = Server()

    def told(where: str) -> tuple[str, ...]:
        return unknown_services(TraceQuery(where=parse_where(where)), server)

    assert told("service = chat-servce or not service = y or service in (kafka, x)") == (
        "there is no service 'chat-servce': did you mean 'chat-service'?",
        "there is no service 'x'",
    )
    assert server.asked == 1
    assert told("operation = x and service != y") == ()
    assert unknown_services(TraceQuery(), server) == ()
    assert server.asked == 1


def test_names_are_found_whatever_the_order_of_the_parts() -> None:
    question = NameQuestion("service", ("chat-servce", "kafka"))
    parts = [question.among(known) for known in (["chat-service", "a"], ["kafka"], ["chat-serv"], [])]

    answers = {question.notes(sum(some, NameSums())) for some in permutations(parts)}

    assert answers == {("there is no service 'chat-servce': did you mean 'chat-service'?",)}


times = st.builds(
    lambda count, ns: TimesFound(count, min(ns, default=None), max(ns, default=None)),
    st.integers(0, 9),
    st.lists(st.integers(1, 99)),
)


@given(times, times, times)
def test_times_add_up_in_any_order(one: TimesFound, two: TimesFound, three: TimesFound) -> None:
    assert (one + two) + three == one + (two + three)
    assert one + two == two + one
    assert one + TimesFound() == one
