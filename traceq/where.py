"""Conditions as people type them: `http.status_code >= 500 and not operation ~ "^GET /health"`.

The grammar is small, and docs/where.md has all of it. What a condition means for a span is in `conditions`.
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterator, Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, Literal, NamedTuple, TypeAlias, TypeGuard, cast, get_args

from msgspec import Struct

from traceq.errors import PatternTooSlow
from traceq.units import parse_duration, plural
from traceq.untrusted import quoted

if TYPE_CHECKING:
    from regex import Pattern as _Pattern

Operator: TypeAlias = Literal["=", "!=", ">=", "<=", ">", "<", "!~", "~"]
ORDERS = frozenset((">", ">=", "<", "<="))
_MOST_NESTED = 50
DURATION = "duration"
EITHER_NAME = {"name": "operation", "span.kind": "kind", "otel.status_code": "status"}
"""Names that mean the same as another one: that of Jaeger's filters, and tags that say what a column has."""
OWN_NAMES = frozenset(
    (
        *("service", "operation", "kind", "status", "error", DURATION, "statusMessage"),
        *("traceID", "spanID", "parentSpanID", "event", "event.name", *EITHER_NAME),
    )
)
"""Names that mean what a span is, rather than a tag that it has."""
WORDS = {
    "kind": ("server", "client", "producer", "consumer", "internal", "unspecified"),
    "status": ("ok", "error", "unset"),
    "error": ("true", "false"),
}
"""Names that have one of a few values."""
RESOURCE, SPAN, EVENT, LINK, TAG = PLACES = ("resource.", "span.", "event.", "link.", "tag.")
"""In front of a key: where the attribute is looked for; `tag.` stands for everywhere."""
KEYWORDS = ("and", "or", "not", "in", "exists")


class Text(Struct, frozen=True):
    """A value to compare with as text."""

    text: str


class Number(Struct, frozen=True):
    """A value to compare with as a number."""

    written: str

    @property
    def number(self) -> float | int:
        """The number, whole where it is written so."""
        return float(self.written) if set(self.written) & set(".eE") else int(self.written)

    @property
    def is_plain(self) -> bool:
        """Whether every number like this is written in this way."""
        return isinstance(self.number, int) and str(self.number) == self.written


class Length(Struct, frozen=True):
    """A duration to compare with."""

    written: str

    @property
    def duration_ns(self) -> int:
        """In ns."""
        return parse_duration(self.written)


Value: TypeAlias = Text | Number | Length


class Comparison(Struct, frozen=True):
    """A name, compared with a value."""

    name: str
    operator: Operator
    value: Value


class Member(Struct, frozen=True):
    """Whether something under a name is one of several values; negated, whether there is something, and none is."""

    name: str
    values: tuple[Value, ...]
    is_negated: bool = False


class Exists(Struct, frozen=True):
    """Whether a span carries something under a name."""

    name: str


class Not(Struct, frozen=True):
    """The opposite of a condition."""

    part: Where


class Some(Struct, frozen=True):
    """Whether one event of a span meets all of a condition by itself; every name in it begins with `event.`."""

    part: Where


class All(Struct, frozen=True):
    """Whether all of several conditions hold."""

    parts: tuple[Where, ...]


class Any(Struct, frozen=True):
    """Whether any of several conditions holds."""

    parts: tuple[Where, ...]


Where: TypeAlias = Comparison | Member | Exists | Not | Some | All | Any


_ONE_SIDE = 33
"""Characters shown on each side of a mistake: together a line of 80 columns."""


class ConditionError(ValueError):
    """A condition that cannot be read; knows where."""

    def __init__(self, text: str, column: int, why: str) -> None:
        seen = text[column - 1 : column + 19]
        self.where = f"column {column} ('{seen}')" if seen.strip() else "the end"
        self.text = text
        self.column = column
        """Counted from 1."""
        self.why = why
        super().__init__(f"cannot read the condition at {self.where}: {why}")

    @property
    def pointed(self) -> tuple[str, str]:
        """The text before the mistake, and from there on, cut to a line."""
        at = self.column - 1
        return self.text[max(0, at - _ONE_SIDE) : at], self.text[at : at + _ONE_SIDE]


class _Token(NamedTuple):
    kind: str
    text: str
    column: int


_TOKEN = re.compile(
    r"""\s*(?:
        (?P<text> "(?:[^"\\]|\\.)*" | '(?:[^'\\]|\\.)*' )
      | (?P<sign> != | !~ | >= | <= | == | [=<>~] )
      | (?P<bracket> [()] )
      | (?P<word> (?![“”„‘’‚]) [^\s"'()=<>~!]+ )  # chats make such quotes of others
    )""",  # noqa: RUF001
    re.VERBOSE,
)
_PIECE, _WHOLE = re.compile(r",|[^,]+"), re.compile(r".+", re.DOTALL)
_NUMBER = re.compile(r"[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d+)?")
_MOST_DIGITS = 300
_DURATION = re.compile(r"((\d+(\.\d*)?|\.\d+)(ns|us|µs|μs|ms|s|m|h|d|w))+")
_PLAIN_NAME = re.compile(r"(?![“”„‘’‚])[^\s\"'()=<>~!]+")  # noqa: RUF001
_PLAIN_VALUE = re.compile(r"[A-Za-z_/*][^\s\"'()=<>~!]*")


def parse_where(text: str) -> Where:
    """Read a condition.

    Raises:
        ConditionError: If it is none; says at which column, counted from 1.
    """
    return _Parser(text).whole()


class _Parser:
    def __init__(self, text: str) -> None:
        self._text = text
        self._tokens = list(_tokens(text))
        self._at = 0
        self._depth = 0
        self._is_in_event = False

    def whole(self) -> Where:
        found = self._any()
        if self._token.kind != "end":
            raise self._complaint("'and' or 'or' belongs between conditions")
        return found

    @property
    def _token(self) -> _Token:
        return self._tokens[self._at]

    def _taken(self) -> _Token:
        token = self._token
        self._at += 1
        return token

    def _is_word(self, word: str) -> bool:
        return self._token.kind == "word" and self._token.text.lower() == word

    def _any(self) -> Where:
        parts = [self._all()]
        while self._is_word("or"):
            self._taken()
            parts.append(self._all())
        return parts[0] if len(parts) == 1 else Any(tuple(parts))

    def _all(self) -> Where:
        parts = [self._one()]
        while self._is_word("and"):
            self._taken()
            parts.append(self._one())
        return parts[0] if len(parts) == 1 else All(tuple(parts))

    def _one(self) -> Where:
        self._depth += 1
        if self._depth > _MOST_NESTED:
            raise self._complaint("there are too many brackets and 'not' around each other")
        try:
            if self._is_word("not"):
                self._taken()
                return Not(self._one())
            if self._begins_some():
                return self._some()
            if self._token[:2] == ("bracket", "("):
                return self._in_brackets()
            return self._comparison()
        finally:
            self._depth -= 1

    def _begins_some(self) -> bool:
        """Whether `some event (` comes next; each of these words may be a name as well."""
        following = [token.text.lower() for token in self._tokens[self._at : self._at + 3]]
        return following == ["some", "event", "("] and self._token.kind == "word"

    def _some(self) -> Where:
        if self._is_in_event:
            raise self._complaint("an event has no events")
        self._at += 2
        self._is_in_event = True
        found = self._in_brackets()
        self._is_in_event = False
        return Some(found)

    def _in_brackets(self) -> Where:
        opened = self._taken()
        found = self._any()
        if self._token[:2] != ("bracket", ")"):
            raise self._complaint(f"the bracket at column {opened.column} is not closed")
        self._taken()
        return found

    def _comparison(self) -> Where:
        name = self._name()
        if self._is_word("exists"):
            self._taken()
            return Exists(name)
        if self._is_word("in") or self._is_word("not"):
            return self._membership(name)
        sign = self._token
        if sign.kind != "sign":
            raise self._complaint(f"after '{name}' one of {', '.join(get_args(Operator))}, 'in' or 'exists' belongs")
        self._taken()
        operator = cast(Operator, "=" if sign.text == "==" else sign.text)
        return Comparison(name, operator, self._value(name, operator))

    def _membership(self, name: str) -> Where:
        is_negated = self._is_word("not")
        if is_negated:
            self._taken()
        if not self._is_word("in"):
            raise self._complaint(f"after '{name} not' only 'in' belongs; `not {name} = ...` denies a condition")
        self._taken()
        if self._token[:2] != ("bracket", "("):
            raise self._complaint("after 'in' values in brackets belong: in (500, 503)")
        self._taken()
        self._part_at_commas()
        values = [self._value(name, "=")]
        while self._token.kind == "comma":
            self._taken()
            values.append(self._value(name, "="))
        if self._token[:2] != ("bracket", ")"):
            raise self._complaint("values are parted by commas, and a bracket follows the last one")
        self._taken()
        return Member(name, tuple(values), is_negated)

    def _part_at_commas(self) -> None:
        """Make tokens of the commas up to the end of the brackets: elsewhere they belong to words."""
        rest = self._tokens[self._at :]
        length = next((at for at, token in enumerate(rest) if token.kind in ("bracket", "end")), 0)
        self._tokens[self._at : self._at + length] = [
            _Token("comma" if piece.group() == "," else token.kind, piece.group(), token.column + piece.start())
            for token in rest[:length]
            for piece in (_PIECE if token.kind == "word" else _WHOLE).finditer(token.text)
        ]

    def _name(self) -> str:
        token = self._token
        if token.kind == "word" and token.text.lower() not in KEYWORDS:
            name = self._taken().text
        elif token.kind == "text" and len(token.text) > len('""'):
            name = _unquoted(self._taken().text)
        else:
            raise self._complaint(
                "a name belongs here: service, operation, duration, or a tag such as http.status_code"
            )
        if not self._is_in_event or name.startswith(EVENT):
            return name
        return f"{EVENT}name" if name == "event" else EVENT + name

    def _value(self, name: str, operator: Operator) -> Value:
        token = self._token
        if token.kind not in ("text", "word"):
            raise self._complaint("a value belongs here: a number, a word, or text in quotes")
        value = _value_of(self._taken())
        if why := _misfit(name, operator, value):
            raise ConditionError(self._text, token.column, why)
        return value

    def _complaint(self, why: str) -> ConditionError:
        return ConditionError(self._text, self._token.column, why)


def _value_of(token: _Token) -> Value:
    if token.kind == "text":
        return Text(_unquoted(token.text))
    if _NUMBER.fullmatch(token.text) and len(token.text) < _MOST_DIGITS:
        return Number(token.text)
    return Length(token.text) if _DURATION.fullmatch(token.text) else Text(token.text)


def _tokens(text: str) -> Iterator[_Token]:
    position = 0
    end = len(text.rstrip())
    while position < end:
        found = _TOKEN.match(text, position, end)
        if found is None or found.lastgroup is None:
            at = position + len(text[position:end]) - len(text[position:end].lstrip())
            is_quote = text[at] in "\"'"
            raise ConditionError(
                text, at + 1, "this quote is not closed" if is_quote else "this sign means nothing here"
            )
        yield _Token(found.lastgroup, found[found.lastgroup], found.start(found.lastgroup) + 1)
        position = found.end()
    yield _Token("end", "", end + 1)


def _misfit(name: str, operator: Operator, value: Value) -> str:
    """Say why an operator and a value do not go together; empty if they do."""
    if operator in ("~", "!~"):
        try:
            compiled(text_of(value))
        except ValueError as error:
            return f"the pattern cannot be read ({error})"
        return ""
    if name == DURATION and not isinstance(value, Length):
        return "a duration has a unit: 500ms, 1.5s, 2m"
    meant = EITHER_NAME.get(name, name)
    if meant in WORDS and text_of(value).lower() not in WORDS[meant]:
        return f"'{name}' is one of {', '.join(WORDS[meant])}"
    if operator in ORDERS and isinstance(value, Text):
        return f"'{operator}' compares numbers and durations: 500, 1.5, 200ms"
    return ""


@lru_cache(maxsize=64)
def compiled(pattern: str) -> _Pattern[str]:
    """Read a regular expression of Python's `re`, to be searched for with a limit of time.

    Raises:
        ValueError: If it is none, or one that is too large or too deep.
    """
    # Late: few conditions have patterns.
    import regex

    with warnings.catch_warnings():
        # Python tells developers what it may read in another way one day.
        warnings.simplefilter("ignore", FutureWarning)
        try:
            re.compile(pattern)
            return regex.compile(_MORE_IN_REGEX.sub(_escaped, pattern))
        except (re.error, regex.error, OverflowError, RecursionError) as error:
            raise ValueError(str(error)) from error


_MORE_IN_REGEX = re.compile(r"\\.|\[\^?\]?(?:\\.|[^\]\\])*\]|\{(?!(?:\d+(?:,\d*)?|,\d*)\})", re.DOTALL)
"""Sets, and brackets that are no numbers of times: `regex` finds more in them (`[[:alpha:]]`, `{e}`) than `re`."""
_SEARCH_S = 1.0
"""Usual patterns take microseconds for a value; a limit of megabytes would still leave exponential ones for years."""


def _escaped(found: re.Match[str]) -> str:
    text = found[0]
    return (
        text[0] + text[1:].replace("[", r"\[") if text[0] == "[" else text.replace("{", r"\{") if text == "{" else text
    )


def finds(pattern: str, text: str) -> bool:
    """Whether a regular expression of Python's `re` finds something in a text.

    Raises:
        ValueError: If it cannot be read.
        PatternTooSlow: If it takes exponential time for this text, which held a process for hours.
    """
    try:
        return compiled(pattern).search(text, timeout=_SEARCH_S) is not None
    except TimeoutError as error:
        raise PatternTooSlow(
            f"the pattern '{quoted(pattern)}' takes too long for a value of {plural(len(text), 'character')}",
            hint="what is repeated within a repetition can be split up in too many ways: a+ in place of (a+)+",
        ) from error


def text_of(value: Value) -> str:
    """Give a value as text, as it was written."""
    return value.text if isinstance(value, Text) else value.written


def _unquoted(text: str) -> str:
    r"""Take quotes away; a backslash before a quote or another backslash goes, others stay, as patterns have them."""
    return re.sub(rf"\\([\\{text[0]}])", r"\1", text[1:-1])


def print_where(where: Where) -> str:
    """Write a condition so that `parse_where` reads the same."""
    match where:
        case Comparison(name, operator, value):
            return f"{_printed_name(name)} {operator} {_printed(value)}"
        case Member(name, values, is_negated):
            listed = ", ".join(_quoted(each.text) if _has_comma(each) else _printed(each) for each in values)
            return f"{_printed_name(name)}{' not' if is_negated else ''} in ({listed})"
        case Exists(name):
            return f"{_printed_name(name)} exists"
        case Not(part):
            return f"not {_inner(part)}"
        case Some(part):
            return f"some event ({print_where(part)})"
        case All(parts):
            return " and ".join(_inner(part) for part in parts)
        case Any(parts):
            return " or ".join(
                f"({print_where(part)})" if isinstance(part, Any) else print_where(part) for part in parts
            )


def _inner(where: Where) -> str:
    return f"({print_where(where)})" if isinstance(where, (All, Any)) else print_where(where)


def _printed_name(name: str) -> str:
    is_plain = _PLAIN_NAME.fullmatch(name) and name.lower() not in KEYWORDS
    return name if is_plain else _quoted(name)


def _printed(value: Value) -> str:
    if not isinstance(value, Text):
        return value.written
    is_plain = _PLAIN_VALUE.fullmatch(value.text) and value.text.lower() not in KEYWORDS
    return value.text if is_plain else _quoted(value.text)


def _has_comma(value: Value) -> TypeGuard[Text]:
    return isinstance(value, Text) and "," in value.text


def _quoted(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def both(parts: Sequence[Where]) -> Where | None:
    """Combine conditions that all have to hold; None if there is none."""
    flat = [each for part in parts for each in (part.parts if isinstance(part, All) else (part,))]
    return None if not flat else flat[0] if len(flat) == 1 else All(tuple(flat))


def names_in(where: Where) -> frozenset[str]:
    """Give every name that a condition is about."""
    match where:
        case Comparison(name) | Member(name) | Exists(name):
            return frozenset((name,))
        case Not(part) | Some(part):
            return names_in(part)
        case All(parts) | Any(parts):
            return frozenset[str]().union(*map(names_in, parts))
