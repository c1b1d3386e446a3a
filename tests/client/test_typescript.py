"""The TypeScript client, run by Node against a real server's answers. Node strips types from 22.6 on; else tsc does."""

from __future__ import annotations

import json
import shutil
import subprocess
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
const gone = await new Aegis("router", { url: "http://127.0.0.1:9" }).decide("x").catch((error) => error);
console.log(JSON.stringify([first.action, refused instanceof AegisError, refused.status, refused.message, gone.type]));
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
        done = subprocess.run([tsc, *options, str(tmp_path), str(CLIENT)], capture_output=True, text=True)
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
        return json.loads(done.stdout)

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

    def take(request: Request) -> Response:
        fields = json.loads(request.get_data())
        asked.append(fields)
        fault = {"error": {"type": "unknown_decision", "message": "no such decision", "actions": None}}
        return Response(json.dumps(fault), 404) if fields["decision"] == "nobody" else Response("{}")

    httpserver.expect_request("/v1/decisions").respond_with_handler(answer)
    httpserver.expect_request("/v1/outcomes").respond_with_handler(take)
    printed = run_node(httpserver.url_for("/"))
    assert printed == ["answer", True, 404, "no such decision", "unreachable"]
    state = {"point": "router", "state": {"ticket": "broken"}, "episode": "e", "offered": ["refund", "answer"]}
    assert asked[:3] == [state, state, state | {"decided": "answer"}]
    assert asked[3:5] == [
        {"point": "router", "decision": "d1", "reward": 1},
        {"point": "router", "decision": "d2", "parts": {"solved": 0.5}, "detail": "well"},
    ]


def test_it_is_short_and_has_no_dependencies():
    text = CLIENT.read_text("utf-8")
    assert len(text.splitlines()) < 130
    assert "import " not in text
