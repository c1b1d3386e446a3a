"""The files of deploy/: a container, a compose file, a systemd unit, a configuration. Each starts what there is."""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.main import get_command

from aegis.cli.main import app
from aegis.serving import read_config

FOLDER = Path(__file__).parents[2]
DEPLOY = FOLDER / "deploy"


def parse(command):
    """Let the command line read a command, which is not run."""
    program, *arguments = command
    assert program.endswith("aegis")
    group: Any = get_command(app)
    with group.make_context("aegis", arguments) as context:
        name, chosen, rest = group.resolve_command(context, arguments)
        return chosen.make_context(name, rest, parent=context).params


def test_the_configuration_is_read_and_only_observes():
    config = read_config(DEPLOY / "serve.toml")
    assert (config.gateway.mode, config.gateway.upstreams[0].url) == ("observe", "https://api.openai.com/v1")


def test_the_container_starts_the_server_on_its_volume_as_a_user_of_its_own():
    text = (DEPLOY / "Dockerfile").read_text("utf-8")
    (command,) = re.findall(r"^CMD (\[.*\])$", text, re.MULTILINE)
    given = parse(yaml.safe_load(command))
    assert (str(given["workspace"]), str(given["config"]), given["host"]) == (
        "/data",
        "/etc/aegis/serve.toml",
        "0.0.0.0",
    )
    assert "VOLUME /data" in text
    assert text.index("USER aegis") < text.index('CMD ["aegis"')
    assert (FOLDER / "constraints.txt").exists()


def test_the_compose_file_has_one_service_and_one_volume_and_needs_tokens():
    document = yaml.safe_load((DEPLOY / "compose.yaml").read_text("utf-8"))
    ((name, service),) = document["services"].items()
    assert (name, [*document["volumes"]]) == ("aegis", ["workspace"])
    assert (DEPLOY / service["build"]["context"] / service["build"]["dockerfile"]).exists()
    sources = [volume.split(":")[0] for volume in service["volumes"]]
    assert sources[0] == "workspace"
    assert (DEPLOY / sources[1]).exists()
    assert all(port.startswith("127.0.0.1:") for port in service["ports"])
    assert service["environment"]["AEGIS_TOKENS"].startswith("${AEGIS_TOKENS:?")


def test_the_unit_starts_the_server():
    text = (DEPLOY / "aegis.service").read_text("utf-8")
    (command,) = re.findall(r"^ExecStart=(.*)$", text, re.MULTILINE)
    assert str(parse(shlex.split(command))["workspace"]) == "/var/lib/aegis"


def test_systemd_finds_nothing_wrong_with_the_unit(tmp_path):
    if shutil.which("systemd-analyze") is None:
        pytest.skip("systemd-analyze is not installed")
    unit = tmp_path / "aegis.service"
    unit.write_text((DEPLOY / "aegis.service").read_text("utf-8").replace("/opt/aegis/bin/aegis", "/bin/true"), "utf-8")
    found = subprocess.run(["systemd-analyze", "verify", str(unit)], capture_output=True, text=True, check=False)
    assert (found.returncode, found.stderr) == (0, "")
