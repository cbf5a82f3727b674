"""Writes OTLP JSON as protobuf, by the numbers in opentelemetry-proto and nothing that traceq has."""

from __future__ import annotations

import base64
import struct
from collections.abc import Iterator
from itertools import groupby
from typing import Any

Json = dict[str, Any]


def varint(number: int) -> bytes:
    number &= 2**64 - 1
    written = bytearray()
    while number > 0x7F:
        written.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes((*written, number))


def field(number: int, content: bytes | str) -> bytes:
    raw = content.encode() if isinstance(content, str) else content
    return varint(number << 3 | 2) + varint(len(raw)) + raw


def fields(number: int, contents: list[bytes]) -> bytes:
    return b"".join(field(number, content) for content in contents)


def fixed(number: int, value: str) -> bytes:
    return varint(number << 3 | 1) + int(value).to_bytes(8, "little")


def request(document: Json) -> bytes:
    return fields(1, [group(each) for each in document["resourceSpans"]])


def group(told: Json) -> bytes:
    return field(1, attributes(1, told["resource"])) + fields(2, [scoped(each) for each in told["scopeSpans"]])


def scoped(told: Json) -> bytes:
    scope = told["scope"]
    return field(1, field(1, scope["name"]) + field(2, scope["version"])) + fields(2, [span(s) for s in told["spans"]])


def span(told: Json) -> bytes:
    return b"".join(
        (
            field(1, bytes.fromhex(told["traceId"])),
            field(2, bytes.fromhex(told["spanId"])),
            field(4, bytes.fromhex(told["parentSpanId"])),
            field(5, told["name"]),
            varint(6 << 3) + varint(told["kind"]),
            fixed(7, told["startTimeUnixNano"]),
            fixed(8, told["endTimeUnixNano"]),
            attributes(9, told),
            fields(11, [fixed(1, e["timeUnixNano"]) + field(2, e["name"]) + attributes(3, e) for e in told["events"]]),
            fields(13, [link(each) for each in told["links"]]),
            field(15, field(2, told["status"]["message"]) + varint(3 << 3) + varint(told["status"]["code"])),
        )
    )


def link(told: Json) -> bytes:
    return field(1, bytes.fromhex(told["traceId"])) + field(2, bytes.fromhex(told["spanId"])) + attributes(4, told)


def attributes(number: int, told: Json) -> bytes:
    return fields(number, [field(1, each["key"]) + field(2, value(each["value"])) for each in told["attributes"]])


def value(told: Json) -> bytes:
    for kind, content in told.items():
        match kind:
            case "stringValue":
                return field(1, content)
            case "boolValue":
                return varint(2 << 3) + varint(content)
            case "intValue":
                return varint(3 << 3) + varint(int(content))
            case "doubleValue":
                return varint(4 << 3 | 1) + struct.pack("<d", float(content))
            case "arrayValue":
                return field(5, fields(1, [value(each) for each in content["values"]]))
            case "bytesValue":
                return field(7, base64.b64decode(content))
    return b""


_NESTED = {
    "request": {1: "group"},
    "group": {1: "attributes", 2: "scoped"},
    "attributes": {1: "attribute"},
    "attribute": {2: "value"},
    "value": {5: "values"},
    "values": {1: "value"},
    "scoped": {1: "scope", 2: "span"},
    "span": {9: "attribute", 11: "event", 13: "link", 15: "status"},
    "event": {3: "attribute"},
    "link": {4: "attribute"},
}


def backwards(message: bytes, kind: str = "request") -> bytes:
    """Write a message as collectors do: the last field first, those of a list in their order."""
    lists = [list(each) for _, each in groupby(_split(message, kind), key=lambda number_and_field: number_and_field[0])]
    return b"".join(written for each in reversed(lists) for _, written in each)


def _split(message: bytes, kind: str) -> Iterator[tuple[int, bytes]]:
    position = 0
    while position < len(message):
        begin = position
        tag, position = _number(message, position)
        number, wire = tag >> 3, tag & 7
        if wire == 2:
            length, position = _number(message, position)
            content = message[position : position + length]
            position += length
            inner = _NESTED.get(kind, {}).get(number)
            yield number, field(number, backwards(content, inner) if inner else content)
            continue
        position = position + 8 if wire == 1 else _number(message, position)[1]
        yield number, message[begin:position]


def _number(message: bytes, position: int) -> tuple[int, int]:
    number = shift = 0
    while message[position] > 0x7F:
        number |= (message[position] & 0x7F) << shift
        position, shift = position + 1, shift + 7
    return number | message[position] << shift, position + 1
