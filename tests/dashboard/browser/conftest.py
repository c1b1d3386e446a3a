"""A dashboard over a workspace of a real run, and Debian's Chromium and Firefox that open it."""

from __future__ import annotations

import functools
import shutil
from pathlib import Path

import pytest
from typer.testing import CliRunner

from aegis.cli.main import app
from aegis.config import HRMConfig, TrainingConfig
from aegis.dashboard.app import make_dashboard
from aegis.dashboard.place import Places
from aegis.door import Decider, DeciderConfig
from aegis.serving.access import TokenBook, draw_token
from aegis.workspace import Workspace
from tests.serving.conftest import Running

CHROMIUM, FIREFOX = "/usr/bin/chromium", "/usr/bin/firefox-esr"
POINT = "support-router"
VIEWS = ("allow", "now", "look", "learning", "inbox", "knowledge", "models")
SMALL = HRMConfig(high_width=32, high_layers=1, high_heads=2, low_width=16, low_layers=1, low_heads=2, max_segments=2)
RULES = {"broken": "refund", "angry": "escalate", "how": "answer"}


def decide(state, actions):
    """Return the action that the ticket's word asks for."""
    return next(action for word, action in RULES.items() if word in state["ticket"])


def open_point(folder, **options):
    return Decider(POINT, tuple(RULES.values()), decide, workspace=folder, config=DeciderConfig(**options))


@pytest.fixture(scope="session")
def lived(tmp_path_factory, search_index, wait_for):
    """Return a workspace in which the agent decided 40 times, and a point trained an HRM that serves."""
    folder = tmp_path_factory.mktemp("lived") / "work"
    options = ("--teacher", "scripted", "--decisions", "40", "--seed", "1", "--vary-presence")
    result = CliRunner().invoke(app, ["collect", "--workspace", str(folder), *options])
    assert result.exit_code == 0, result.output
    training = TrainingConfig(epochs=6, learning_rate=0.01, batch_size=8)
    with open_point(folder, collect=120, model=SMALL, training=training) as decider:
        for number in range(120):
            decider.decide({"ticket": f"{list(RULES)[number % 3]} {number}"}, episode=f"user {number // 3}")
        wait_for(lambda: decider.decide({"ticket": "broken"}).policy == "hrm@1")
    return folder


@pytest.fixture
def workspace(lived, tmp_path):
    """Return a copy of that workspace."""
    return Workspace(shutil.copytree(lived, tmp_path / "work"))


def turn(page, view):
    """Let a page show a view, by its address."""
    page.evaluate("view => { location.hash = `#/${view}` }", view)
    page.wait_for_selector(f"nav a[aria-current][href^='#/{view.partition('?')[0]}']")
    page.wait_for_selector("h1")


@pytest.fixture(scope="session")
def playwright():
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        yield playwright


@pytest.fixture(scope="session", params=[CHROMIUM, FIREFOX], ids=["chromium", "firefox"])
def open_browser(request, playwright):
    """Return what opens a window of a colour scheme and a width in a browser, each test in Chromium and in Firefox."""
    if not Path(request.param).exists():
        pytest.skip(f"{request.param} is not installed: apt install chromium firefox-esr")
    if request.param == CHROMIUM:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        browsers = {"light": browser, "dark": browser}
    else:  # an unmodified Firefox, by WebDriver BiDi, which has no command for the scheme
        start = functools.partial(playwright.firefox.launch, channel="moz-firefox", executable_path=FIREFOX)
        scheme = "layout.css.prefers-color-scheme.content-override"
        browsers = {name: start(firefox_user_prefs={scheme: value}) for name, value in {"dark": 0, "light": 1}.items()}

    def window(scheme="light", width=1180):
        asked = scheme if request.param == CHROMIUM else "null"
        return browsers[scheme].new_context(color_scheme=asked, viewport={"width": width, "height": 900})

    yield window
    for browser in set(browsers.values()):
        browser.close()


@pytest.fixture
def open_page(open_browser, workspace, wait_for):
    """Return what opens the dashboard in the browser. At the end nothing may stand in the browser's console."""
    secret, token = draw_token("dashboard", ["manage"])
    running = Running(make_dashboard(Places(workspace), TokenBook([token])))
    wait_for(lambda: running.server.started)
    faults, contexts = [], []

    def start(view="", scheme="light", width=1180):
        context = open_browser(scheme, width)
        contexts.append(context)
        page = context.new_page()
        page.on(
            "console", lambda message: faults.append(message.text) if message.type in ("error", "warning") else None
        )
        page.on("pageerror", lambda error: faults.append(str(error)))
        page.goto(f"{running.url}/?token={secret}")
        assert page.url == f"{running.url}/"
        turn(page, view or "allow")
        return page

    yield start
    for context in contexts:
        context.close()
    running.stop()
    assert [fault for fault in faults if "401" not in fault] == []


@pytest.fixture(scope="session")
def axe():
    """Return the text of axe-core, which `make test-browser` fetches."""
    return Path(".venv/axe/node_modules/axe-core/axe.min.js").read_text("utf-8")
