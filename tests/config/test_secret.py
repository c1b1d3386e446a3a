"""Keys from the environment, or from a file that others can't read; and where a planted key must not show."""

from __future__ import annotations

import json
import os

import pytest
from typer.testing import CliRunner

from aegis.cli.main import app
from aegis.config.secret import has_secret, read_secret
from aegis.door.traces import find_traces
from aegis.errors import ConfigError, TeacherError
from aegis.serving import TokenBook, UpstreamConfig
from aegis.serving.access import add_token
from aegis.teachers.openai_api import load_openai

KEY = "sk-planted-0123456789"


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "key"
    path.write_text(f"{KEY}\n")
    path.chmod(0o600)
    return path


def test_a_key_comes_from_its_variable_or_from_the_file_named_beside_it(file):
    assert read_secret("K", {"K": f" {KEY} "}) == KEY
    assert read_secret("K", {"K_FILE": str(file)}) == KEY
    assert read_secret("K", {"K": "mine", "K_FILE": str(file)}) == "mine"
    assert read_secret("K", {}) == ""
    assert has_secret("K", {"K_FILE": str(file)})
    assert not has_secret("K", {})


@pytest.mark.skipif(os.name != "posix", reason="permissions of POSIX")
@pytest.mark.parametrize("mode", [0o604, 0o644, 0o602, 0o777])
def test_a_file_that_everybody_can_read_is_refused_with_the_remedy(file, mode, monkeypatch):
    file.chmod(mode)
    with pytest.raises(ConfigError, match=f"everybody on this machine can read it: chmod 600 {file}") as refusal:
        read_secret("K", {"K_FILE": str(file)})
    assert KEY not in str(refusal.value)
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    monkeypatch.setenv("OPENAI_API_KEY_FILE", str(file))
    with pytest.raises(TeacherError, match="chmod 600"):
        load_openai("openai:m@http://127.0.0.1:9/v1")
    with pytest.raises(ConfigError, match="chmod 600"):
        UpstreamConfig("http://127.0.0.1:9/v1", key_variable="OPENAI_API_KEY")


@pytest.mark.skipif(os.name != "posix", reason="permissions of POSIX")
def test_a_file_of_tokens_to_which_everybody_can_add_one_is_refused(tmp_path):
    path = tmp_path / "tokens.jsonl"
    add_token(path, "agent", ["decide"])
    path.chmod(0o602)
    with pytest.raises(ConfigError, match="everybody on this machine can add a token to it"):
        TokenBook.read(path, {})


@pytest.mark.parametrize("broken", [f"{KEY} x", f"{KEY}\nnext: 1", f"{KEY}ä", f"{KEY}\x00"])
def test_a_key_that_no_header_can_hold_is_refused_and_not_shown(broken):
    with pytest.raises(ConfigError, match="no key has") as refusal:
        read_secret("K", {"K": broken})
    assert KEY not in str(refusal.value)
    with pytest.raises(ConfigError, match="can't be read"):
        read_secret("K", {"K_FILE": "/nowhere/key"})


@pytest.mark.parametrize("status", [200, 401])
def test_a_planted_key_that_the_endpoint_repeats_shows_nowhere(tmp_path, httpserver, monkeypatch, status, file):
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    monkeypatch.setenv("OPENAI_API_KEY_FILE", str(file))
    monkeypatch.setattr("time.sleep", lambda seconds: None)
    said = f"idle. You sent {KEY}" if status != 200 else "idle"
    answer = {"choices": [{"message": {"content": said, "key": KEY}}], "error": {"message": f"bad key {KEY}"}}
    httpserver.expect_request("/v1/chat/completions").respond_with_json(answer, status)
    place = ["--workspace", str(tmp_path / "w")]
    commands = [
        [
            "collect",
            "--teacher",
            "openai:m",
            "--base-url",
            httpserver.url_for("/v1"),
            "--decisions",
            "2",
            "--search",
            f"searxng:{httpserver.url_for('/')}",
            *place,
        ],
        ["status", "--json", *place],
        ["export", str(tmp_path / "out.jsonl"), *place],
        ["verify", *place],
        ["models", "--json", *place],
    ]
    for words in commands:
        result = CliRunner().invoke(app, words)
        assert KEY not in result.output + result.stderr + repr(result.exception), words
    asked = [request.headers.get("Authorization") for request, _ in httpserver.log]
    assert f"Bearer {KEY}" in asked, "the key was used"
    assert (tmp_path / "w" / "aegis.db").exists()
    assert list(find_traces(tmp_path, KEY)) == [file], "only the file of the key holds it"
    assert json.loads(CliRunner().invoke(app, commands[1]).stdout)
