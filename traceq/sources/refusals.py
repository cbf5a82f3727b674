"""Explains answers that are not what was asked for: an error from the server, a web page, something else."""

from __future__ import annotations

import re
from http import HTTPStatus

from traceq.codec.answers import error_message
from traceq.errors import LoginRequired, ServerError, SourceError
from traceq.sources.http import Address, Answer
from traceq.untrusted import printable

_MAX_TITLE = 80


def is_api_answer(answer: Answer) -> bool:
    """Return whether this is a 200 from Jaeger's API and not a page; its type is not used, as old servers omit it."""
    return answer.status == HTTPStatus.OK and not is_page(answer)


def says_no_such_route(answer: Answer) -> bool:
    """Return whether the server does not know the path.

    Jaeger up to 2.15 then returns its UI, later versions a 404 in plain text; a 404 in JSON means something else.
    """
    if answer.status == HTTPStatus.OK:
        return is_page(answer)
    is_json = answer.body.lstrip().startswith(b"{")
    return answer.status in (HTTPStatus.NOT_FOUND, HTTPStatus.METHOD_NOT_ALLOWED) and not is_json


def lacks_route(answer: Answer) -> bool:
    """Return whether the server has no such route, for routes on which a 404 can mean nothing else.

    Servers that imitate Jaeger differ: Quickwit answers 404 in JSON, VictoriaTraces 400.
    """
    missing = (HTTPStatus.NOT_FOUND, HTTPStatus.METHOD_NOT_ALLOWED, HTTPStatus.NOT_IMPLEMENTED)
    is_unsupported = answer.status == HTTPStatus.BAD_REQUEST and b"unsupported path" in answer.body
    return answer.status in missing or is_unsupported or says_no_such_route(answer)


def refusal(answer: Answer, address: Address, hint: str = "") -> SourceError:
    """Convert an unwanted answer into an error.

    Args:
        answer: What came.
        address: Where from.
        hint: What is known to help; otherwise it is guessed from the answer.
    """
    if is_page(answer) and answer.status < HTTPStatus.INTERNAL_SERVER_ERROR:
        return _page_refusal(answer, address, hint)
    told = _title(_text(answer)) if is_page(answer) else error_message(answer.body)
    phrase = _phrase(answer.status)
    message = f"Jaeger at {address.url} answered {answer.status}{phrase and ' ' + phrase}{told and ': ' + told}"
    return ServerError(message, hint=hint or _hint(answer.status, told, address), status=answer.status, told=told)


def _phrase(status: int) -> str:
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return ""


def _hint(status: int, told: str, address: Address) -> str:
    if "HTTPS server" in told or "HTTPS port" in told:
        return f"set --source https://{address.url.partition('://')[2]}"
    if "search depth" in told or "max traces" in told or "limit" in told:
        return "give a smaller --limit"
    if "no endpoints available" in told:
        return "the Kubernetes service has no running pod: kubectl get pods tells why"
    if "Data source not found" in told:
        return "this Grafana knows no data source of that name: its settings show the uid, which belongs into the URL"
    if "too_long_http_line" in told:
        return "the window is too long for the storage: give a shorter --lookback"
    if status == HTTPStatus.NOT_FOUND:
        return _base_path_hint("", address)
    if status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        return "the server's log tells more; its storage may be slow or out of reach"
    return ""


_LOGIN_WORDS = ("sign in", "log in", "login", "sign-in", "single sign-on", "oauth", "openid", "authenticat")
_UI_MARKS = ("jaeger_config", "jaeger_version", "<title>jaeger ui", 'data-inject-target="base_url"')
_PASSWORD_FIELD = re.compile(r"""<input[^>]+type=["']?password""")
_BASE_HREF = re.compile(r"""<base\s[^>]*href=["']([^"']*)["']""", re.IGNORECASE)
_TITLE = re.compile(r"<title[^>]*>(.*?)</title>", re.IGNORECASE | re.DOTALL)


def is_page(answer: Answer) -> bool:
    """Return whether this is a web page."""
    start = answer.body[:200].lstrip().lower()
    return start.startswith((b"<!doctype html", b"<html")) or (
        answer.content_type == "text/html" and start.startswith(b"<")
    )


def _text(answer: Answer) -> str:
    return answer.body[:100_000].decode("utf-8", "replace")


def asks_for_login(answer: Answer) -> bool:
    """Return whether this is a login page."""
    lower = _text(answer).lower() if is_page(answer) else ""
    # The page of the UI has no password field, but a login page may mention Jaeger: so the field is checked first.
    has_word = any(word in lower for word in _LOGIN_WORDS) and not _is_ui(lower)
    return has_word or _PASSWORD_FIELD.search(lower) is not None


def _is_ui(lower: str) -> bool:
    return any(mark in lower for mark in _UI_MARKS)


def _page_refusal(answer: Answer, address: Address, hint: str) -> SourceError:
    page = _text(answer)
    if asks_for_login(answer):
        return LoginRequired(
            f"{address.url} answered with a login page{_titled(page)}",
            hint="give credentials with --token, --basic or --header (a cookie works too)",
        )
    hint = hint or _base_path_hint(page, address)
    if _is_ui(page.lower()):
        return SourceError(f"{address.url} answered with the Jaeger UI page: not the API", hint=hint)
    return SourceError(
        f"{address.url} answered with a web page{_titled(page)}: not the Jaeger API",
        hint=hint,
    )


def _titled(page: str) -> str:
    title = _title(page)
    return f" ('{title}')" if title else ""


def _title(page: str) -> str:
    found = _TITLE.search(page)
    title = printable(" ".join(found.group(1).split())) if found else ""
    return title if len(title) <= _MAX_TITLE else title[: _MAX_TITLE - 3] + "..."


def _base_path_hint(page: str, address: Address) -> str:
    """Suggest a value for `--source`; Jaeger's page has its base path in `<base href>`."""
    found = _BASE_HREF.search(page)
    path = found.group(1).rstrip("/") if found else ""
    if path.startswith("/") and not path.startswith("//") and path != address.base_path:
        return f"its base path seems to be {printable(path)}: set --source {address.origin}{printable(path)}"
    return f"is a base path missing or wrong? it is part of --source, for example {address.origin}/jaeger"
