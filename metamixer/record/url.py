"""URLs of databases: variables filled in, quoted for URLs; secrets hidden, or put into variables.

A URL as people write it is not always one: a password may hold any character, percent-encoded or not. What stands
before the last `@` of its front part is user and password.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from urllib.parse import quote

PASSWORD = "PGPASSWORD"
_SECRET = re.compile(r"pass(word|wd|phrase)?$|pwd$|secret|token", re.IGNORECASE)
_VARIABLE = re.compile(r"\$\{(\w+)\}|\$([A-Za-z_]\w*)")
_QUERY = re.compile(r"\?(?=[A-Za-z_]\w*=)")
_HOST = re.compile(r"(\[[^\]]*\]|[^:@/]*)(:\d*)?(/.*)?")
_IN_TEXT = re.compile(r"\b[A-Za-z][A-Za-z0-9+]*://[^\s'\"]+")
HIDDEN = "***"


@dataclass(frozen=True)
class _Parts:
    scheme: str
    user: str | None
    password: str | None
    place: str  # host, port and database
    query: tuple[tuple[str, str], ...]

    def __str__(self) -> str:
        login = "" if self.user is None else self.user + ("" if self.password is None else f":{self.password}") + "@"
        query = "&".join(f"{key}={value}" for key, value in self.query)
        return f"{self.scheme}://{login}{self.place}" + (f"?{query}" if query else "")


def _split(url: str) -> _Parts:
    scheme, _, rest = url.partition("://")
    found = _QUERY.search(rest)
    front, query = (rest[: found.start()], rest[found.end() :]) if found else (rest, "")
    if "@" in query and "@" not in front and not _HOST.fullmatch(front):
        front, query = rest, ""  # the question mark is part of a password
    login, at, place = front.rpartition("@")
    user, colon, password = login.partition(":")
    pairs = tuple((key, value) for key, _, value in (part.partition("=") for part in query.split("&") if part))
    return _Parts(scheme, user if at else None, password if colon else None, place, pairs)


def filled(url: str) -> str:
    """The URL with its variables filled in and every part quoted; what is percent-encoded already stays so.

    Raises:
        KeyError: A variable `${NAME}` is not set; the name is the error's argument.
    """
    parts = _split(url)
    return str(
        replace(
            parts,
            user=None if parts.user is None else _fill(parts.user),
            password=None if parts.password is None else _fill(parts.password),
            place=_fill(parts.place, "/:[],?=&"),
            query=tuple((key, _fill(value, "/:,+-")) for key, value in parts.query),
        )
    )


def _fill(text: str, safe: str = "") -> str:
    filled, end = "", 0
    for found in _VARIABLE.finditer(text):
        braced, bare = found.groups()
        if braced is None and bare not in os.environ:
            continue  # a dollar in a password
        value = os.environ[braced or bare]
        filled += quote(text[end : found.start()], safe=f"%{safe}") + quote(value, safe=safe.replace("+", ""))
        end = found.end()
    return filled + quote(text[end:], safe=f"%{safe}")


def hidden(url: str) -> str:
    """A URL, or text that holds some, whose secrets, unless they are variables, are not shown."""
    if re.match(r"\s*[\w+]+://", url):
        return _hidden(url)
    return _IN_TEXT.sub(lambda found: _hidden(found[0]), url)


def _hidden(url: str) -> str:
    parts = _split(url)
    return str(
        replace(
            parts,
            password=parts.password if _open(parts.password) else HIDDEN,
            query=tuple(
                (key, value if _open(value) or not _SECRET.search(key) else HIDDEN) for key, value in parts.query
            ),
        )
    )


def _open(secret: str | None) -> bool:
    """Whether a secret may be shown: there is none, or it is a variable's name."""
    found = _VARIABLE.fullmatch(secret) if secret else None
    return not secret or (found is not None and (found[1] is not None or found[2] in os.environ))


def variables(url: str) -> Iterator[str]:
    """Names of the variables that `without_secrets` puts in place of secrets."""
    parts = _split(url)
    if not _open(parts.password):
        yield PASSWORD
    for key, value in parts.query:
        if _SECRET.search(key) and not _open(value):
            yield _variable(key)


def without_secrets(url: str) -> str:
    """A URL that may be printed and stored: secrets written out are replaced by variables, see `variables`."""
    if "://" not in url:
        return url
    parts = _split(url)
    return str(
        replace(
            parts,
            password=parts.password if _open(parts.password) else f"${{{PASSWORD}}}",
            query=tuple(
                (key, value if _open(value) or not _SECRET.search(key) else f"${{{_variable(key)}}}")
                for key, value in parts.query
            ),
        )
    )


def _variable(key: str) -> str:
    return PASSWORD if key.lower() == "password" else f"PG{key.upper()}"
