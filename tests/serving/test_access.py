"""Tokens and their scopes, other sites' pages, and the configuration's file."""

from __future__ import annotations

import json

import pytest

from aegis.errors import ConfigError
from aegis.serving import GatewayConfig, Listening, PointConfig, ServeConfig, TokenBook, UpstreamConfig, read_config
from aegis.serving.access import SiteCheck, add_token
from aegis.serving.setting import check_points


def test_a_token_is_kept_as_a_hash_and_found_again(tmp_path):
    path = tmp_path / "tokens.jsonl"
    secret, other = add_token(path, "agent", ["decide"]), add_token(path, "owner", ["manage", "report"])
    assert secret not in path.read_text("utf-8")
    assert path.stat().st_mode & 0o077 == 0
    book = TokenBook.read(path, {})
    assert (book.find(secret).name, book.find(secret).scopes) == ("agent", {"decide"})
    assert book.find(other).scopes == {"manage", "report"}
    assert book.find(secret + "x") is book.find("") is None
    with pytest.raises(ConfigError, match="has a token 'agent' already"):
        add_token(path, "agent", ["decide"])
    with pytest.raises(ConfigError, match="scopes are decide, report, manage, not rule"):
        add_token(path, "third", ["rule"])
    assert len(path.read_text("utf-8").splitlines()) == 2


def test_tokens_may_come_from_the_environment_and_a_file_out_of_form_is_named(tmp_path):
    book = TokenBook.read(None, {"AEGIS_TOKENS": f"decide+report={'a' * 20} manage={'b' * 30}"})
    assert book.find("a" * 20).scopes == {"decide", "report"}
    assert not TokenBook.read(None, {})
    for value in ("decide=short", "a" * 40, f"rule={'a' * 20}"):
        with pytest.raises(ConfigError, match="AEGIS_TOKENS, token 1"):
            TokenBook.read(None, {"AEGIS_TOKENS": value})
    path = tmp_path / "t"
    for line in ("nonsense", "{}", '{"name": "a", "sha256": "12", "scopes": ["decide"]}'):
        path.write_text(f"\n{line}\n", "utf-8")
        with pytest.raises(ConfigError, match="line 2"):
            TokenBook.read(path, {})


def test_an_address_that_others_reach_needs_tokens():
    Listening("127.0.0.1").check()
    Listening("::1").check()
    with pytest.raises(ConfigError, match="tokens are needed"):
        Listening("0.0.0.0").check()


@pytest.mark.parametrize(
    ("host", "origin", "refused"),
    [
        ("127.0.0.1:8700", None, False),
        ("localhost:8700", None, False),
        ("[::1]:8700", None, False),
        ("evil.example", None, True),  # a name that leads to 127.0.0.1
        ("", None, True),
        ("[broken", None, True),
        ("localhost:8700", "http://localhost:8700", False),
        ("localhost:8700", "https://evil.example", True),
        ("localhost:8700", "http://localhost:9999", True),
        ("localhost:8700", "null", True),
        ("localhost:8700", "https://app.example", False),
        ("inside.example", None, False),
    ],
)
def test_pages_and_names_of_others_are_refused(host, origin, refused):
    check = SiteCheck("127.0.0.1", ["inside.example"], ["https://app.example/"])
    assert bool(check.refusal(host, origin)) is refused


def test_each_scope_opens_its_routes_alone(start, tmp_path):
    path = tmp_path / "tokens"
    tokens = {scope: add_token(path, scope, [scope]) for scope in ("decide", "report", "manage")}
    served = start(tokens=TokenBook.read(path, {}))
    asked = {
        "decide": ("POST", "/v1/decisions", {"point": "support-router", "state": {"n": 1}, "decided": "refund"}),
        "report": ("POST", "/v1/outcomes", {"point": "support-router", "decision": "nobody"}),
        "manage": ("GET", "/v1/status", None),
    }
    for needed, (method, url, body) in asked.items():
        for scope, secret in tokens.items():
            response = served.client.request(method, url, json=body, headers={"authorization": f"Bearer {secret}"})
            assert (response.status_code == 403) is (scope != needed), (needed, scope, response.text)
        for wrong in ({}, {"authorization": "Bearer nonsense"}, {"authorization": "Basic eDp5"}):
            response = served.client.request(method, url, json=body, headers=wrong)
            assert (response.status_code, response.headers["www-authenticate"]) == (401, "Bearer")
            told = "this token is not known here" if "nonsense" in str(wrong) else "send Authorization: Bearer TOKEN"
            assert told in response.json()["error"]["message"]
    assert served.client.get("/metrics").status_code == 401
    assert served.client.get("/health").status_code == 200


def test_a_configuration_is_read_and_a_mistake_in_it_is_named(tmp_path):
    path = tmp_path / "serve.toml"
    path.write_text(
        '[points.router]\nactions = ["a", "b"]\nteacher = "openai:m"\nbase_url = "http://x/v1"\nmode = "assist"\n'
        '[points.other]\nactions = {go = "Go on", stop = "Stop"}\n[limits]\nmax_waiting = 3\n',
        "utf-8",
    )
    config = read_config(path)
    assert config.points["router"].to_decider().promised == 0.95
    assert config.points["other"].actions == {"go": "Go on", "stop": "Stop"}
    assert config.limits.max_waiting == 3
    for text, said in (
        ("points = 3", "points: Input should be a valid dictionary"),
        ("[points.a]\nactons = []", "points.a.actons: unknown key: did you mean actions? there are actions, teacher"),
        ("[points.a]\nstudent = 'both'", "points.a: student must be one of"),
        ("[point.a]\nactions = []", "point: unknown key: did you mean points?"),
        ("[limits]\nmax_wait = 1", "limits.max_wait: unknown key: did you mean max_waiting?"),
        ("[[gateway.upstreams]]\nurls = 'http://x'", "gateway.upstreams.0.urls: unknown key: did you mean url?"),
        ("[gateway]\nmode = 'assist'", "gateway: upstreams: name one, as a table [[gateway.upstreams]] with url ="),
        ("[gateway]\nupstreams = []\nmod = 'assist'", "gateway.mod: unknown key: did you mean mode?"),
        ("[points.a]\nmode = 'rule'", "mode must be one of observe, assist, switch"),
        ("[points.a]\nbase_url = 'x'", "must be an address"),
        ("[points.a]\nmax_tokens = 9000", "points.a: max_tokens must be at most 6142, not 9000"),
        ("[points.'a b']", "decision point 'a b'"),
        ("[limits]\nmax_waiting = 0", "limits.max_waiting must be above 0"),
        ("[", "can't be read as TOML"),
    ):
        path.write_text(text, "utf-8")
        with pytest.raises(ConfigError) as raised:
            read_config(path)
        assert said in str(raised.value), json.dumps(str(raised.value))
        assert str(path) in str(raised.value)


def test_the_upstream_of_the_command_line_is_the_gateways_where_the_file_names_none(tmp_path):
    path = tmp_path / "serve.toml"
    for text, mode in (("[gateway]\nmode = 'assist'", "assist"), ("", "observe")):
        path.write_text(text, "utf-8")
        gateway = read_config(path, "http://x/v1").gateway
        assert gateway == GatewayConfig((UpstreamConfig("http://x/v1"),), mode)
    path.write_text("[[gateway.upstreams]]\nurl = 'http://y/v1'", "utf-8")
    with pytest.raises(ConfigError, match="--upstream: the file of --config names upstreams already"):
        read_config(path, "http://x/v1")
    path.write_text("", "utf-8")
    with pytest.raises(ConfigError, match="--upstream"):
        read_config(path, "x")


def test_a_mistyped_point_is_named_before_anything_starts(tmp_path):
    gateway = GatewayConfig((UpstreamConfig("http://x/v1"),))
    recorded = ["support-router", "triage"]

    def check(gateway, **points):
        return check_points(ServeConfig(points, gateway), recorded)

    mistyped = {"suport-router": PointConfig(mode="assist")}
    for config in (gateway, None):
        with pytest.raises(ConfigError, match=r"points\.suport-router: no such point: did you mean support-router\?"):
            check(config, **mistyped)
    with pytest.raises(ConfigError, match=r"points\.other: no such point: recorded are support-router, triage"):
        check(None, other=PointConfig())
    assert check(gateway, triage=PointConfig(mode="assist")) == []
    assert check(gateway, other=PointConfig(mode="assist")) == ["Point other begins with its first request"]
    new = {"suport-router": PointConfig(("a", "b"))}
    assert check(None, **new) == ["Point suport-router is new (did you mean support-router?)"]


def test_a_points_settings_are_those_of_its_decider(tmp_path):
    path = tmp_path / "serve.toml"
    path.write_text(
        '[points.router]\nactions = ["a", "b"]\nmode = "assist"\ncollect = 200\nexplore = 0.1\nnever_explored = ["b"]\n'
        'retired = ["old"]\nrenamed = {c = "b"}\nmax_tokens = 512\nexclude = ["customer.email"]\n',
        "utf-8",
    )
    config = read_config(path).points["router"].to_decider()
    assert (config.mode, config.collect, config.explore, tuple(config.never_explored)) == ("assist", 200, 0.1, ("b",))
    assert (config.retired, config.renamed) == (("old",), {"c": "b"})
    assert (config.training.max_tokens, config.training.exclude) == (512, ("customer.email",))
    path.write_text("[points.router]\nexplore = 0.9\n", "utf-8")
    with pytest.raises(ConfigError, match=r"points\.router: explore must be a share from 0 to 0\.5, not 0\.9"):
        read_config(path)
