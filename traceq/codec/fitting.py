"""Fits JSON of any shape into the types that decoders read: what can be understood is converted, the rest left out.

Ids and times are read here in all the ways in which formats write them that follow no specification.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from functools import lru_cache
from typing import Any, TypeVar

import msgspec
from msgspec import Struct, inspect

from traceq.codec.damage import Remark, sound
from traceq.codec.wire import MAX_NS, hex_id
from traceq.semantics import value_text
from traceq.traces import WarningCode
from traceq.units import NS_PER_MS, NS_PER_S, NS_PER_US, parse_duration
from traceq.untrusted import quoted

_Struct = TypeVar("_Struct", bound=Struct)
_UNFIT: Any = object()
"""In place of what cannot be understood."""
_FINER = {"startTime": "startTimeUnixNano", "duration": "durationNano", "timestamp": "timeUnixNano"}
"""Fields of Jaeger's v1 JSON in microseconds, with those in nanoseconds that are read before them."""
_TIME_BOUNDS = {MAX_NS: 1, MAX_NS // NS_PER_US: NS_PER_US}
"""How times are told from other numbers: by the largest that fits, with their unit."""
_SIGN_BIT = 2**63
_WRAP = 2**64
_MOST_DIGITS = 40


class Fitting(Struct):
    """Fits the parts of one span, and takes down what it did."""

    unit_ns: int
    """What its times count."""
    format_ns: int
    """What times of the format count."""
    remarks: list[Remark] = []

    def object(self, value: Mapping[str, Any], into: Any) -> dict[str, Any] | None:
        """Fit an object into a struct; keys that the struct does not know stay as they are. None if it does not fit."""
        fitted: dict[str, Any] | None = self.value(value, into, "")
        return fitted

    def sound(self, written: bytes) -> bytes:
        """Put right what makes a value unreadable, and take it down."""
        text, remarks = sound(written)
        self.remarks += remarks
        return text

    def value(self, value: Any, into: Any, place: str) -> Any:
        """Fit any value into a type; None if it cannot be understood."""
        fitted = self._fit(value, _type(into), place)
        return None if fitted is _UNFIT else fitted

    def _fit(self, value: Any, into: inspect.Type, place: str) -> Any:
        if isinstance(into, inspect.Metadata):
            return self._fit(value, into.type, place)
        if isinstance(into, inspect.UnionType):
            return self._one_of(value, into, place)
        if isinstance(into, inspect.StructType):
            return self._struct(value, into, place) if isinstance(value, dict) else self._wrapped(value, into, place)
        if isinstance(into, inspect.ListType):
            return self._list(value, into.item_type, place)
        if isinstance(into, inspect.DictType):
            return self._dict(value, into.value_type, place)
        simple = _SIMPLE.get(type(into))
        return value if simple is None else simple(self, value, place)

    def _one_of(self, value: Any, union: inspect.UnionType, place: str) -> Any:
        if value is None and union.includes_none:
            return None
        choices = [each for each in union.types if not isinstance(each, inspect.NoneType)]
        same = [each for each in choices if type(value) in _NATIVE.get(type(each), ())]
        # A value of one of these types stays what it is; others are tried in order.
        for choice in (*same, *choices):
            fitted = self._fit(value, choice, place)
            if fitted is not _UNFIT:
                return fitted
        return _UNFIT

    def _struct(self, value: Mapping[str, Any], struct: inspect.StructType, place: str) -> Any:
        fitted = dict(value)
        for each in struct.fields:
            key = each.encode_name
            if key not in value:
                if each.required:
                    return _UNFIT
                continue
            inner = f"{place}.{key}" if place else key
            time_ns, told = _time_unit(each.type), _unwrapped(value[key])
            found = self._fit(told, each.type, inner) if time_ns is None else self._time(told, key, inner)
            if found is _UNFIT:
                if each.required:
                    return _UNFIT
                self._left_out(value[key], inner)
                del fitted[key]
            else:
                fitted[key] = found
                if time_ns == NS_PER_US and found is not None:
                    fitted |= _in_microseconds(key, found)
        return fitted

    def _wrapped(self, value: Any, struct: inspect.StructType, place: str) -> Any:
        """Put a plain value where OTLP has an object that tells its type."""
        key = _OTLP_KEYS.get(type(value))
        if key is None or all(each.encode_name != key for each in struct.fields):
            return _UNFIT
        self._took(place, value, "its type is not told")
        return {key: value}

    def _list(self, value: Any, item: inspect.Type, place: str) -> Any:
        if isinstance(value, dict):
            value = self._pairs(value, item, place)
        if not isinstance(value, list):
            return _UNFIT
        found = []
        for position, each in enumerate(value):
            inner = f"{place}[{position}]"
            fitted = self._fit(each, item, inner)
            if fitted is _UNFIT:
                self._left_out(each, inner)
            else:
                found.append(fitted)
        return found

    def _pairs(self, value: dict[str, Any], item: inspect.Type, place: str) -> list[Any]:
        """Read an object where a list belongs: keys with values, or else the only item."""
        self._took(place, value, "an object, where a list belongs")
        is_pair = isinstance(item, inspect.StructType) and any(each.encode_name == "key" for each in item.fields)
        if not is_pair or "key" in value:
            return [value]
        return [{"key": key, "value": each, **_typed(each)} for key, each in value.items()]

    def _dict(self, value: Any, item: inspect.Type, place: str) -> Any:
        if not isinstance(value, dict):
            return _UNFIT
        found = {key: self._fit(each, item, f"{place}.{key}") for key, each in value.items()}
        for key in [key for key, each in found.items() if each is _UNFIT]:
            self._left_out(value[key], f"{place}.{key}")
            del found[key]
        return found

    def text(self, value: Any, place: str) -> Any:
        """Fit into text."""
        if isinstance(value, str):
            return value
        if isinstance(value, (dict, list)) or value is None:
            return _UNFIT
        self._took(place, value, "no text")
        return as_text(value)

    def truth(self, value: Any, place: str) -> Any:
        """Fit into true or false."""
        if isinstance(value, bool):
            return value
        known = {"true": True, "false": False, "1": True, "0": False}.get(str(value).lower())
        if known is None:
            return _UNFIT
        self._took(place, value, "neither true nor false")
        return known

    def fraction(self, value: Any, place: str) -> Any:
        """Fit into a number."""
        try:
            return float(value) if isinstance(value, Decimal) else _FLOATS.decode(msgspec.json.encode(value))
        except msgspec.ValidationError:
            return _UNFIT

    def whole(self, value: Any, place: str) -> Any:
        """Fit into a whole number."""
        number = number_of(value)
        if number is None or number != number.to_integral_value():
            return _UNFIT
        if not isinstance(value, int):
            self._took(place, value, "no whole number")
        return int(number)

    def _time(self, value: Any, key: str, place: str) -> Any:
        """Read a time or duration as ns, however it is written; `_UNFIT` if it makes no sense."""
        if value is None:
            return None
        number = number_of(value)
        time_ns = _spoken(value) if number is None else self._counted(number, key, place)
        if time_ns is None or not -MAX_NS <= time_ns <= MAX_NS:
            return _UNFIT
        is_plain = isinstance(value, int) or (isinstance(value, str) and value.lstrip("-").isdigit())
        if not is_plain:
            self._remark("time-repaired", f"{place} is {_shown(value)}, where a whole number belongs")
        return time_ns

    def _counted(self, number: Decimal, key: str, place: str) -> int | None:
        unit_ns = 1 if self.format_ns > 1 and key in _FINER.values() else self.unit_ns
        if _SIGN_BIT <= number < _WRAP:
            # A negative number that was taken for one without a sign; as a point in time it means nothing, which is
            # told of a span that has none, but not of what happened in it.
            return int(number - _WRAP) * unit_ns if key in _LENGTHS else None if place != key else 0
        time_ns = round(number * unit_ns)
        if unit_ns > 1 and key in _LENGTHS and _SIGN_BIT <= time_ns < _WRAP:
            return time_ns - _WRAP
        return time_ns

    def _took(self, place: str, value: Any, why: str) -> None:
        self._remark("value-repaired", f"{place} is {_shown(value)}, {why}")

    def _left_out(self, value: Any, place: str) -> None:
        self._remark("value-left-out", f"{place} is {_shown(value)}, which makes no sense there")

    def _remark(self, code: WarningCode, text: str) -> None:
        self.remarks.append(Remark(code, text))


def fitted(value: Mapping[str, Any], into: type[_Struct], remarks: list[Remark]) -> _Struct:
    """Convert an object that was decoded; what does not fit is put right or left out, and taken down.

    Raises:
        msgspec.ValidationError: If a field is missing.
    """
    try:
        return msgspec.convert(value, into)
    except msgspec.ValidationError:
        fitting = Fitting(1, 1, remarks)
        return msgspec.convert(fitting.object(value, into) or {}, into)


_FLOATS = msgspec.json.Decoder(float, strict=False)
_LENGTHS = frozenset(("duration", "durationNano"))
_SIMPLE: dict[type, Callable[[Fitting, Any, str], Any]] = {
    inspect.StrType: Fitting.text,
    inspect.BoolType: Fitting.truth,
    inspect.FloatType: Fitting.fraction,
    inspect.IntType: Fitting.whole,
    inspect.NoneType: lambda _fitting, value, _place: None if value is None else _UNFIT,
}
_NATIVE: dict[type, tuple[type, ...]] = {
    inspect.StrType: (str,),
    inspect.BoolType: (bool,),
    inspect.FloatType: (float, Decimal),
    inspect.IntType: (int,),
    inspect.ListType: (list,),
    inspect.DictType: (dict,),
    inspect.StructType: (dict,),
}
_OTLP_KEYS: dict[type, str] = {str: "stringValue", bool: "boolValue", int: "intValue", Decimal: "doubleValue"}
_V1_TYPES: dict[type, str] = {str: "string", bool: "bool", int: "int64", Decimal: "float64"}


def _unwrapped(value: Any) -> Any:
    """Take a value out of the object that MongoDB exports it in, such as `{"$date": ...}`."""
    if isinstance(value, dict) and len(value) == 1 and not _MONGO_KEYS.isdisjoint(value):
        return _unwrapped(next(iter(value.values())))
    return value


_MONGO_KEYS = frozenset(("$date", "$numberLong", "$numberInt", "$numberDouble"))


@lru_cache(maxsize=64)
def _type(into: Any) -> inspect.Type:
    return inspect.type_info(into)


def _time_unit(into: inspect.Type) -> int | None:
    """Return the unit of a type that is a time; None for any other."""
    inner = (
        next((each for each in into.types if isinstance(each, inspect.IntType)), None)
        if isinstance(into, inspect.UnionType)
        else into
    )
    return _TIME_BOUNDS.get(inner.le or 0) if isinstance(inner, inspect.IntType) else None


def _in_microseconds(key: str, time_ns: int) -> dict[str, int]:
    whole, rest_ns = divmod(time_ns, NS_PER_US)
    return {key: whole, _FINER[key]: time_ns} if rest_ns and key in _FINER else {key: whole}


def _typed(value: Any) -> dict[str, str]:
    kind = _V1_TYPES.get(type(value))
    return {} if kind is None else {"type": kind}


def number_of(value: object) -> Decimal | None:
    """Read a number, also one that is written as text; None for anything else, and what is too large to be meant."""
    if isinstance(value, bool) or not isinstance(value, (int, str, Decimal)):
        return None
    if isinstance(value, str) and len(value) > _MOST_DIGITS:
        return None
    try:
        number = Decimal(value)
    except InvalidOperation:
        return None
    return number if number.is_finite() and abs(number.adjusted()) < _MOST_DIGITS else None


def _spoken(value: Any) -> int | None:
    """Read a time of the calendar, or a duration with its unit, as ns."""
    if not isinstance(value, str):
        return None
    for read in (read_time, parse_duration):
        try:
            return read(value)
        except (ValueError, OverflowError):
            continue
    return None


def _shown(value: Any) -> str:
    if isinstance(value, (dict, list)):
        return "an object" if isinstance(value, dict) else "a list"
    return f"'{quoted(value, 40)}'" if isinstance(value, str) else quoted(str(value), 40)


def as_text(value: str | int | Decimal) -> str:
    """Give what is no list or object as text, where text belongs."""
    return str(value) if isinstance(value, Decimal) else value_text(value)


def read_id(written: str | None) -> str:
    """Read an id in hex, with `0x` before it or not, or in base64."""
    return hex_id((written or "").removeprefix("0x"))


def read_time(written: float | str | None) -> int:
    """Read a time: RFC 3339, or a number whose size tells whether it counts ns, us, ms or s.

    Raises:
        ValueError: If it is text that is no time, or not a number.
    """
    if not written:
        return 0
    if isinstance(written, str):
        return read_time(int(written)) if written.isascii() and written.isdigit() else _calendar(written)
    return scaled(written, next((unit for unit, limit in _UNITS if abs(written) < limit), 1))


def scaled(written: float, unit_ns: int) -> int:
    """Convert a number to ns as it is written: floats of today in ns are 256 ns apart, and their product no better."""
    return written * unit_ns if isinstance(written, int) else round(Decimal(repr(written)) * unit_ns)


def known_time(written: float | str | None) -> int:
    """Read a time as `read_time` does; what is none counts as missing, which is told of the span."""
    try:
        return read_time(written)
    except (ValueError, OverflowError):
        return 0


_UNITS = ((NS_PER_S, 10**11), (NS_PER_MS, 10**14), (NS_PER_US, 10**17))
"""Units in ns, each with what numbers in this unit stay below: years from 1973 to 5138 are told apart."""

_FRACTION = re.compile(r"\.(\d+)")


def _calendar(text: str) -> int:
    """Read a time of the calendar; without a zone it is UTC."""
    if text.startswith("0001-01-01"):
        return 0  # what Go writes for a time that is not set
    # datetime stops at microseconds.
    fraction = _FRACTION.search(text)
    whole = text if fraction is None else text[: fraction.start()] + text[fraction.end() :]
    try:
        moment = datetime.fromisoformat(whole)
    except ValueError as error:
        raise ValueError(f"'{text}' is not a time") from error
    seconds = int((moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp())
    return seconds * NS_PER_S + (int(fraction[1][:9].ljust(9, "0")) if fraction else 0)
