"""Who may ask the server, and what its answers allow: every request passes here before any route."""

from __future__ import annotations

import hmac
import ipaddress
import platform
from collections.abc import Iterable
from http.cookies import CookieError, SimpleCookie
from urllib.parse import parse_qsl, urlencode, urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import PlainTextResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

COOKIE = "metamixer_token"
# Styles: plotly.js sets them on elements that it makes. Pictures: its exports are drawn from data and blob addresses.
POLICY = (
    "default-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data: blob:; object-src 'none'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
HEADERS = {
    "Content-Security-Policy": POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
}


def is_loopback(address: str) -> bool:
    """Whether only programs of this machine reach an address."""
    if address == "localhost":
        return True
    try:
        return ipaddress.ip_address(address).is_loopback
    except ValueError:
        return False


class Guard:
    """Refuses foreign hosts and origins, anything that is no reading, and, where there is a token, who lacks it.

    A page of another site that reaches this server by a name of its own (DNS rebinding) shows itself by the Host
    header; a script of another site by its Origin. A number as host cannot be rebound.
    """

    def __init__(self, app: ASGIApp, address: str, token: str | None = None) -> None:
        self._app = app
        self._token = token
        self._open = not is_loopback(address)
        self._hosts = {"localhost", address, platform.node().lower()} if self._open else {"localhost", address}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def safe(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                headers.update(HEADERS)
                headers.setdefault("Cache-Control", "no-cache")
            await send(message)

        refused = self._refusal(scope)
        await (refused or self._app)(scope, receive, safe)

    def _refusal(self, scope: Scope) -> Response | None:
        headers = Headers(scope=scope)
        if not self._known(_host(headers.get("host", ""))):
            return PlainTextResponse("this host is not served here\n", 403)
        origin = headers.get("origin")
        if origin is not None and urlsplit(origin).netloc != headers.get("host"):
            return PlainTextResponse("requests of other pages are refused\n", 403)
        if scope["method"] not in ("GET", "HEAD"):
            return PlainTextResponse("nothing can be written here\n", 405, {"Allow": "GET, HEAD"})
        return self._stranger(scope, headers) if self._token is not None else None

    def _known(self, host: str) -> bool:
        if host.lower() in self._hosts:
            return True
        try:
            number = ipaddress.ip_address(host)
        except ValueError:
            return False
        return self._open or number.is_loopback

    def _stranger(self, scope: Scope, headers: Headers) -> Response | None:
        given = dict(parse_qsl(scope["query_string"].decode("latin-1")))
        if "token" in given:
            if not self._same([given.pop("token")]):
                return _unknown()
            # Out of the address, where it would be remembered and shown.
            answer = RedirectResponse(scope["path"] + (f"?{urlencode(given)}" if given else ""), 303)
            answer.set_cookie(COOKIE, self._token or "", httponly=True, samesite="strict")
            return answer
        return None if self._same(_tokens(headers)) else _unknown()

    def _same(self, given: Iterable[str]) -> bool:
        ours = (self._token or "").encode()
        # All of them are compared, whichever fits.
        fits = [hmac.compare_digest(one.encode("utf-8", "surrogateescape"), ours) for one in given]
        return any(fits)


def _host(header: str) -> str:
    """The host of a Host header, without its port and without the brackets of IPv6."""
    if header.startswith("["):
        return header[1:].partition("]")[0]
    return header.partition(":")[0]


def _tokens(headers: Headers) -> list[str]:
    found = []
    scheme, _, value = headers.get("authorization", "").partition(" ")
    if scheme.lower() == "bearer":
        found.append(value.strip())
    try:
        cookies = SimpleCookie(headers.get("cookie", ""))
    except CookieError:
        return found
    return [*found, cookies[COOKIE].value] if COOKIE in cookies else found


def _unknown() -> Response:
    return PlainTextResponse(
        "a token is needed: open the address that metamixer dashboard printed\n", 401, {"WWW-Authenticate": "Bearer"}
    )
