"""Writes OTLP JSON as protobuf, by the numbers in opentelemetry-proto and nothing that traceq has."""

from __future__ import annotations

import base64
import struct
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
