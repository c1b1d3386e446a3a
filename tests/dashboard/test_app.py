"""The dashboard as a server of its own."""

from __future__ import annotations

import asyncio

from aegis.dashboard.app import _open_once, make_dashboard
from aegis.dashboard.page import PAGE
from aegis.dashboard.place import Places
from aegis.serving.access import TokenBook, draw_token


def test_the_first_requests_are_made_before_the_address_is_told(workspace):
    secret, token = draw_token("dashboard", ["manage"])
    app, answers = make_dashboard(Places(workspace), TokenBook([token])), []

    async def heard(scope, receive, send):
        async def note(message):
            if message["type"] == "http.response.start":
                answers.append((scope["path"], message["status"]))
            await send(message)

        await app(scope, receive, note)

    asyncio.run(_open_once(heard, secret))
    assert answers == [("/", 200), ("/page/main.js", 200), ("/api/status", 200)]


def test_the_page_asks_for_its_first_answer_and_every_module_at_once():
    shown = PAGE["index.html"][0].decode()
    assert '<link rel="preload" href="/api/status" as="fetch" crossorigin>' in shown
    modules = {name for name in PAGE if name.endswith(".js")} - {"main.js", "kept.js", "report.js"}
    assert modules == {name for name in modules if f'rel="modulepreload" href="/page/{name}"' in shown}
