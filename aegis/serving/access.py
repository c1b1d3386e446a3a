"""Who may do what: bearer tokens with scopes, kept as hashes; and requests that another site's page would send."""

from __future__ import annotations

import hashlib
import hmac
import ipaddress
import json
import os
import secrets
import stat
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from aegis.atomic import replacing
from aegis.bounds import parse_json, read_text
from aegis.errors import ConfigError

SCOPES = ("decide", "report", "manage")
"""decide: ask for decisions and send decisions made elsewhere. report: outcomes. manage: status, models, metrics."""
TOKENS_VARIABLE = "AEGIS_TOKENS"
_LEAST_CHARACTERS = 20


@dataclass(frozen=True, slots=True)
class Token:
    """A token's hash, and what its bearer may do."""

    name: str
    sha256: str
    scopes: frozenset[str]


class TokenBook:
    """The tokens of a server; an empty book lets everybody in."""

    def __init__(self, tokens: Iterable[Token] = ()) -> None:
        self._tokens = tuple(tokens)

    def __bool__(self) -> bool:
        return bool(self._tokens)

    def with_token(self, token: Token) -> TokenBook:
        """Return a book with one token more."""
        return TokenBook((*self._tokens, token))

    def find(self, given: str) -> Token | None:
        """Return the token that this text is, in a time that does not tell how much of it is right."""
        digest = _hash(given)
        found = None
        for token in self._tokens:
            if hmac.compare_digest(digest, token.sha256):
                found = token
        return found

    @classmethod
    def read(cls, path: Path | None, environment: Mapping[str, str] = os.environ) -> TokenBook:
        """Return the tokens of a file, and those of the variable AEGIS_TOKENS.

        The variable holds `SCOPES=TOKEN` for each, e.g. `decide+report=s3cr3t...`, with spaces between. Raises
        `ConfigError` for a file or a variable out of form.
        """
        tokens = [] if path is None else _read_file(path)
        for place, part in enumerate(environment.get(TOKENS_VARIABLE, "").split(), start=1):
            scopes, equals, secret = part.partition("=")
            if not equals or len(secret) < _LEAST_CHARACTERS:
                raise ConfigError(
                    f"{TOKENS_VARIABLE}, token {place}: write SCOPES=TOKEN, e.g. decide+report=..., with a token of at"
                    f" least {_LEAST_CHARACTERS} characters"
                )
            where = f"{TOKENS_VARIABLE}, token {place}"
            tokens.append(Token(f"environment {place}", _hash(secret), check_scopes(where, scopes.split("+"))))
        return cls(tokens)


def add_token(path: Path, name: str, scopes: Iterable[str]) -> str:
    """Add a token to a file, which is made where it is not there, and return it. The file keeps only its hash.

    Raises `ConfigError` for a name that the file has, an unknown scope, or a file out of form.
    """
    tokens = _read_file(path) if path.exists() else []
    if any(token.name == name for token in tokens):
        raise ConfigError(f"{path}: has a token {name!r} already: take another name, or delete that line first")
    secret, token = draw_token(name, scopes)
    tokens.append(token)
    with replacing(path) as partial:
        partial.touch(mode=0o600)
        lines = [{"name": one.name, "sha256": one.sha256, "scopes": sorted(one.scopes)} for one in tokens]
        partial.write_text("".join(f"{json.dumps(line)}\n" for line in lines), encoding="utf-8")
    return secret


def draw_token(name: str, scopes: Iterable[str]) -> tuple[str, Token]:
    """Return a new secret and its token; raises `ConfigError` for an unknown scope."""
    secret = secrets.token_urlsafe(32)
    return secret, Token(name, _hash(secret), check_scopes("--scope", scopes))


def check_scopes(where: str, given: Iterable[str]) -> frozenset[str]:
    """Return scopes as a set; raises `ConfigError` for none or an unknown one."""
    scopes = frozenset(given)
    if not scopes or not scopes <= set(SCOPES):
        unknown = ", ".join(sorted(scopes - set(SCOPES))) or "none"
        raise ConfigError(f"{where}: scopes are {', '.join(SCOPES)}, not {unknown}")
    return scopes


def is_loopback(host: str) -> bool:
    """Tell whether an address can be reached from this machine alone."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


class SiteCheck:
    """Refuses what a page of another site makes a browser send.

    host: where the server listens. hosts, origins: other names and pages that are allowed. On this machine's own
    address a request must name it: a page can lead a name of its own to 127.0.0.1 (DNS rebinding).
    """

    def __init__(self, host: str, hosts: Iterable[str] = (), origins: Iterable[str] = ()) -> None:
        self._loopback = is_loopback(host)
        self._hosts = {host.lower(), *(one.lower() for one in hosts)}
        self._origins = {one.lower().rstrip("/") for one in origins}

    def refusal(self, host: str, origin: str | None) -> str:
        """Return why a request with these headers is refused; '' where it is not."""
        if self._loopback and not self._is_own(_hostname(host)):
            return f"the host {host[:100]!r} is not this server's: add it to allowed_hosts"
        if origin is None or origin.lower() in self._origins:
            return ""
        same = urlsplit(origin).netloc.lower() == host.lower()
        return "" if same else f"pages of {origin[:100]!r} may not ask: add it to allowed_origins"

    def _is_own(self, name: str) -> bool:
        return name in self._hosts or is_loopback(name)


def _hostname(host: str) -> str:
    try:
        return (urlsplit(f"//{host}").hostname or "").lower()
    except ValueError:
        return ""


def _hash(secret: str) -> str:
    # A random token of 43 characters can't be guessed from its hash: no slow hash is needed.
    return hashlib.sha256(secret.encode("utf-8", "surrogatepass")).hexdigest()


def _read_file(path: Path) -> list[Token]:
    tokens = []
    try:
        if os.name == "posix" and path.stat().st_mode & stat.S_IWOTH:
            raise ConfigError(f"--tokens {path}: everybody on this machine can add a token to it: chmod 600 {path}")
        lines = read_text(path).splitlines()
    except ConfigError:
        raise
    except (OSError, ValueError) as error:
        raise ConfigError(f"--tokens {path}: can't be read ({error}): `aegis token NAME --file {path}`") from error
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        where = f"--tokens {path}, line {number}"
        try:
            fields = parse_json(line)
            name, digest, scopes = str(fields["name"]), str(fields["sha256"]), fields["scopes"]
        except (ValueError, KeyError, TypeError) as error:
            raise ConfigError(f"{where}: expected name, sha256 and scopes, as `aegis token` writes them") from error
        if len(digest) != 64 or not isinstance(scopes, list):
            raise ConfigError(f"{where}: expected name, sha256 and scopes, as `aegis token` writes them")
        tokens.append(Token(name, digest.lower(), check_scopes(where, map(str, scopes))))
    return tokens
