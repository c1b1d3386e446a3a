"""The TypeScript client, run by Node against a real server's answers. Node strips types from 22.6 on; else tsc does."""

from __future__ import annotations

import json
import shutil
import subprocess
import threading
from pathlib import Path

import pytest
from werkzeug import Request, Response

CLIENT = Path(__file__).parents[2] / "clients" / "typescript" / "aegis.ts"
SCRIPT = """
import { Aegis, AegisError } from MODULE;
const router = new Aegis("router", { url: process.argv[2], token: "secret", teacher: (state, actions) => actions[1] });
const first = await router.decide({ ticket: "broken" }, { episode: "e", offered: ["refund", "answer"] });
await router.report(first, { reward: 1 });
await router.report("d2", { parts: { solved: 0.5 }, detail: "well" });
const refused = await router.report("nobody", { reward: 1 }).catch((error) => error);
const placed = await router.feedback("chatcmpl-1", { parts: { solved: 1 } });
const seen = [(await router.status()).phase, (await router.savings()).measured, (await router.models())[0].id];
const strange = await new Aegis("strange", { url: process.argv[2], token: "secret" }).status().catch((error) => error);
const slow = await new Aegis("slow", { url: process.argv[2], token: "secret", timeoutMs: 50 }).models().catch((e) => e);
const gone = await new Aegis("router", { url: "http://127.0.0.1:9" }).decide("x").catch((error) => error);
console.log(JSON.stringify([first.action, refused instanceof AegisError, refused.status, refused.message, gone.type]));
console.log(JSON.stringify([placed, seen, strange.message, slow.type]));
"""


def strips_types(node: str) -> bool:
    tried = subprocess.run([node, "--experimental-strip-types", "-e", "1"], capture_output=True)
    return tried.returncode == 0


@pytest.fixture
def run_node(tmp_path):
    """Return what runs the script by Node, and returns what it printed."""
    node, tsc = shutil.which("node"), shutil.which("tsc")
    if node is None or not (tsc or strips_types(node)):
        pytest.skip("needs Node 22.6 or newer, or Node and tsc")
    module = tmp_path / ("aegis.mjs" if tsc else "aegis.ts")
    if tsc:
        options = [
            "--strict",
            "--target",
            "es2022",
            "--module",
            "es2022",
            "--lib",
            "es2022,dom",
            "--outDir",
            str(tmp_path),
        ]
        done = subprocess.run([tsc, *options, str(CLIENT)], capture_output=True, text=True)
        assert done.returncode == 0, done.stdout + done.stderr
        (tmp_path / "aegis.js").rename(module)
    else:
        shutil.copy(CLIENT, module)

    def run(url):
        script = tmp_path / "script.mjs"
        script.write_text(SCRIPT.replace("MODULE", json.dumps(module.as_uri())), "utf-8")
        flags = [] if tsc else ["--experimental-strip-types", "--no-warnings"]
        done = subprocess.run([node, *flags, str(script), url], capture_output=True, text=True, timeout=120)
        assert done.returncode == 0, done.stderr
        return [json.loads(line) for line in done.stdout.splitlines()]

    return run


def test_it_decides_by_its_teacher_where_nobody_does_tries_again_and_reports(run_node, httpserver):
    asked = []

    def answer(request: Request) -> Response:
        fields = json.loads(request.get_data())
        asked.append(fields)
        assert request.headers["authorization"] == "Bearer secret"
        if fields.get("decided"):
            return Response(json.dumps({"id": "d1", "action": fields["decided"]}))
        if len(asked) == 1:
            return Response('{"error": {"type": "busy", "message": "try again"}}', 503, {"retry-after": "0"})
        fault = {"type": "nobody_decides", "message": "decide", "actions": ["refund", "answer"]}
        return Response(json.dumps({"error": fault}), 503)

    fed: list[dict] = []
    slow = threading.Event()

    def feed_back(request: Request) -> Response:
        fed.append(json.loads(request.get_data()))
        found = {"decisions": [{"point": "router", "decision": "d1"}]}
        return Response("busy", 429) if len(fed) == 1 else Response(json.dumps(found))

    def take(request: Request) -> Response:
        fields = json.loads(request.get_data())
        asked.append(fields)
        fault = {"error": {"type": "unknown_decision", "message": "no such decision", "actions": None}}
        return Response(json.dumps(fault), 404) if fields["decision"] == "nobody" else Response("{}")

    httpserver.expect_request("/v1/decisions").respond_with_handler(answer)
    httpserver.expect_request("/v1/outcomes").respond_with_handler(take)
    httpserver.expect_request("/v1/feedback", "POST").respond_with_handler(feed_back)
    httpserver.expect_request("/v1/status", "GET").respond_with_json({"points": {"router": {"phase": 2}}})
    httpserver.expect_request("/v1/savings", "GET").respond_with_json({"points": {"router": {"measured": 3}}})
    httpserver.expect_request("/v1/points/router/models", "GET").respond_with_json({"data": [{"id": "router/hrm@1"}]})
    httpserver.expect_request("/v1/points/slow/models").respond_with_handler(
        lambda request: slow.wait(20) and Response()
    )
    printed, seen = run_node(httpserver.url_for("/"))
    slow.set()
    assert printed == ["answer", True, 404, "no such decision", "unreachable"]
    places = [{"point": "router", "decision": "d1"}]
    assert seen == [places, [2, 3, "router/hrm@1"], "no point strange: there are router", "timeout"]
    assert fed == [{"id": "chatcmpl-1", "parts": {"solved": 1}}] * 2, "429 without Retry-After is sent again"
    state = {"point": "router", "state": {"ticket": "broken"}, "episode": "e", "offered": ["refund", "answer"]}
    assert asked[:3] == [state, state, state | {"decided": "answer"}]
    assert asked[3:5] == [
        {"point": "router", "decision": "d1", "reward": 1},
        {"point": "router", "decision": "d2", "parts": {"solved": 0.5}, "detail": "well"},
    ]


def test_it_is_short_and_has_no_dependencies():
    text = CLIENT.read_text("utf-8")
    assert len(text.splitlines()) < 180
    assert "import " not in text
