"""Who may look and act: a token that goes into a cookie once, and never another site's page."""

from __future__ import annotations

from typing import Any
from urllib.parse import parse_qs, urlsplit

from fastapi import Depends, Request, Response
from fastapi.responses import RedirectResponse

from aegis.serving.admission import Admission
from aegis.serving.middleware import Refusal

SCOPE = "manage"
"""The scope that a token needs"""
OWN_HEADER = "x-aegis-dashboard"
"""A header that the page sends with every action: a browser lets no page of another site add it"""
_WEEK_SECONDS = 7 * 24 * 3600
HEADERS = {
    "content-security-policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:;"
    " connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "cache-control": "no-store",
}
"""Of every answer: nothing is loaded from elsewhere, and no other page may frame this one"""


class Session:
    """Checks the cookie of a request. read_only: nobody may act."""

    def __init__(self, admission: Admission, read_only: bool) -> None:
        self._admission = admission
        self.read_only = read_only

    def is_open(self, request: Request) -> bool:
        """Tell whether a request has the cookie of a token that may look."""
        return self._lets_in(request, request.cookies.get(_cookie(request), ""))

    def begin(self, request: Request, secret: str) -> Response | None:
        """Return the answer that puts a token into the cookie and leads to the page; None for a wrong token."""
        if not self._lets_in(request, secret):
            return None
        answer = RedirectResponse("/", 303, HEADERS)
        answer.set_cookie(
            _cookie(request),
            secret,
            max_age=_WEEK_SECONDS,
            httponly=True,
            samesite="strict",
            secure=request.url.scheme == "https",
        )
        return answer

    def looks(self) -> Any:
        """Return the dependency of a route that shows something."""
        return Depends(self._check_look)

    def acts(self) -> Any:
        """Return the dependency of a route that changes something."""

        def check(request: Request) -> None:
            self._check_look(request)
            if self.read_only:
                raise Refusal(403, "read_only", "this dashboard only shows: start one without --read-only to act")
            if request.headers.get(OWN_HEADER) is None:
                raise Refusal(403, "other_site", f"only the dashboard's own page may act: send {OWN_HEADER}")

        return Depends(check)

    def _check_look(self, request: Request) -> None:
        # Cookies know no ports: a page at another port of this machine is another site, too.
        if request.headers.get("sec-fetch-site", "none") not in ("same-origin", "none"):
            raise Refusal(403, "other_site", "pages of other sites may not ask")
        self._admission.check(SCOPE, request.cookies.get(_cookie(request), ""), _address(request))

    def _lets_in(self, request: Request, secret: str) -> bool:
        try:
            self._admission.check(SCOPE, secret, _address(request))
        except Refusal as refusal:
            if refusal.status == 429:
                raise
            return False
        return True


async def read_token(request: Request) -> str:
    """Return the token of a form that was sent, '' without one."""
    fields = parse_qs((await request.body()).decode("utf-8", "replace"))
    return fields.get("token", [""])[0].strip()


def _cookie(request: Request) -> str:
    return name_cookie(request.headers.get("host", ""))


def name_cookie(host: str) -> str:
    """Return the cookie's name: dashboards at two ports of one machine share their cookies, so each has its own.

    host: as a request names it, with its port.
    """
    return f"aegis-{urlsplit(f'//{host}').port or 80}"


def _address(request: Request) -> str:
    return request.client.host if request.client else ""
