from __future__ import annotations

from base64 import b64encode
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from traceq.cli.references import Reference, parse_reference

TRACE, SPAN = "5b8aa5a2d2c872e8321cf37308d69df2", "b7ad6b7169203331"
UI = "http://localhost:16686"


@pytest.mark.parametrize(
    "text",
    [
        TRACE,
        TRACE.upper(),
        f"0x{TRACE}",
        f"0X{TRACE.upper()}",
        f" \t{TRACE}\n",
        f'"{TRACE}"',
        f"'{TRACE}',",
        f"“{TRACE}”",
        f"`{TRACE}`.",
        f"[{TRACE}]",
        "5b8aa5a2-d2c8-72e8-321c-f37308d69df2",
        "5B8AA5A2-D2C8-72E8-321C-F37308D69DF2",
        "W4qlotLIcugyHPNzCNad8g==",
        f"00-{TRACE}-{SPAN}-01",
        f"traceparent: 00-{TRACE}-{SPAN}-01",
        f"cc-{TRACE}-{SPAN}-01-what-comes-later",
        f"{TRACE}:{SPAN}:0:1",
        f"uber-trace-id: {TRACE}%3A{SPAN}%3A0%3A1",
        f"{TRACE}-{SPAN}",
        f"b3: {TRACE}-{SPAN}-1-{SPAN}",
        f"X-B3-TraceId: {TRACE}",
        "1-5b8aa5a2-d2c872e8321cf37308d69df2",
        f"Root=1-5b8aa5a2-d2c872e8321cf37308d69df2;Parent={SPAN};Sampled=1",
        "X-Amzn-Trace-Id: Self=1-67891233-abcdef012345678912345678;Root=1-5b8aa5a2-d2c872e8321cf37308d69df2",
        f"{TRACE}/13235353014750950193;o=1",
        f"trace_id={TRACE}",
        f'"traceId": "{TRACE}",',
        f"otelTraceID={TRACE}",
    ],
)
def test_an_id_is_read_in_every_form_that_people_have(text: str) -> None:
    found = parse_reference(text)

    assert found == Reference(TRACE, caller_id=SPAN if SPAN in text and "Parent" not in text else "")


@pytest.mark.parametrize("text", ["5b8aa5a2", "abc", "b3", "b3:1:0:1", "00"])
def test_short_ids_and_beginnings_are_read(text: str) -> None:
    trace_id, _, span_id = text.partition(":")

    assert parse_reference(text) == Reference(trace_id, caller_id=span_id[:1])


@pytest.mark.parametrize(
    ("link", "expected"),
    [
        (f"{UI}/trace/{TRACE}", Reference(TRACE, location=UI)),
        (f"{UI}/trace/{TRACE.upper()}/", Reference(TRACE, location=UI)),
        (f"<{UI}/trace/{TRACE}>", Reference(TRACE, location=UI)),
        (f"{UI}/jaeger/ui/trace/{TRACE}?uiFind={SPAN}", Reference(TRACE, SPAN, location=f"{UI}/jaeger/ui")),
        (f"{UI}/trace/{TRACE}?uiFind=mongo+db&x=1", Reference(TRACE, find="mongo db", location=UI)),
        (f"localhost:16686/trace/{TRACE}", Reference(TRACE, location=UI)),
        (f"https://jaeger.example/#/trace/{TRACE}", Reference(TRACE, location="https://jaeger.example")),
        (f"{UI}/search?limit=20&traceID={TRACE}", Reference(TRACE, location=UI)),
        (f"{UI}/base/api/traces?traceID={TRACE}", Reference(TRACE, location=f"{UI}/base")),
        (f"{UI}/base/api/traces/{TRACE}?prettyPrint=true", Reference(TRACE, location=f"{UI}/base")),
        (f"{UI}/api/v3/traces/{TRACE}", Reference(TRACE, location=UI)),
        (f"trace: {UI}/trace/{TRACE}", Reference(TRACE, location=UI)),
    ],
)
def test_links_name_the_trace_and_the_server(link: str, expected: Reference) -> None:
    assert parse_reference(link) == expected


@pytest.mark.parametrize(
    ("link", "told"),
    [
        (f"{UI}/search?service=chat", "ends in /trace/<id>, or has traceID=<id>"),
        (f"{UI}/trace/", "ends in /trace/<id>"),
        (f"{UI}/trace/{TRACE}...{TRACE[::-1]}", "the link names several traces: `traceq compare` takes two ids"),
        (f"{UI}/search?traceID={TRACE}&traceID=abc", "the link names several traces"),
        (f"{UI}/trace/chat-service", "'chat-service' is no id"),
    ],
)
def test_links_without_a_trace_are_refused(link: str, told: str) -> None:
    with pytest.raises(ValueError, match=told.replace("?", r"\?")):
        parse_reference(link)


@pytest.mark.parametrize("text", ["chat-service", "traces.json", "", "GET /rooms", "-1h..now", "trace_id=", TRACE * 2])
def test_what_is_no_id_is_left_as_it_is(text: str) -> None:
    assert parse_reference(text) == Reference(text, is_known=False)


FORMS: dict[str, Callable[[str, str], str]] = {
    "as it is": lambda trace, _: trace,
    "upper case": lambda trace, _: trace.upper(),
    "0x": lambda trace, _: f"0x{trace}",
    "uuid": lambda trace, _: "-".join((trace[:8], trace[8:12], trace[12:16], trace[16:20], trace[20:])),
    "base64": lambda trace, _: b64encode(bytes.fromhex(trace)).decode(),
    "traceparent": lambda trace, span: f"00-{trace}-{span}-00",
    "uber-trace-id": lambda trace, span: f"{trace}:{span}:0:1",
    "b3": lambda trace, span: f"{trace}-{span}-d",
    "x-ray": lambda trace, _: f"1-{trace[:8]}-{trace[8:]}",
    "ui": lambda trace, span: f"{UI}/trace/{trace}?uiFind={span}",
    "search": lambda trace, _: f"{UI}/search?traceID={trace}",
    "api": lambda trace, _: f"{UI}/api/traces/{trace}",
}
_hex = st.text("0123456789abcdef", min_size=32, max_size=32)


@given(_hex, _hex, st.sampled_from(sorted(FORMS)), st.sampled_from(["{}", ' "{}" ', "trace_id={}", "({}),", "{}."]))
def test_every_form_of_an_id_is_the_same_id(trace: str, span: str, form: str, around: str) -> None:
    assert parse_reference(around.format(FORMS[form](trace, span[:16]))).trace_id == trace


@given(st.text(max_size=80))
def test_no_text_breaks_it(text: str) -> None:
    try:
        found = parse_reference(text)
    except ValueError:
        return
    assert not found.is_known or set(found.trace_id) <= set("0123456789abcdef")
