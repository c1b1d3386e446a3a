"""The pages keep up with the commands: all are documented, what is shown parses, and what is quick is run as shown."""

from __future__ import annotations

import json
import re
import shlex
import shutil
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import typer.main
from typer.testing import CliRunner

from aegis.cli.main import app
from aegis.config import GateConfig, HRMConfig, RolloutConfig, TrainingConfig
from aegis.config.plan import TrainingPlan
from aegis.research import ApprovalQueue, Inbox
from aegis.research.proposals import Proposal
from aegis.store import Database, DecisionStore
from aegis.types import Action, Decision, utc_now
from tests.cli.conftest import SMALL

ROOT = Path(__file__).parents[2]
PAGES = {
    str(path.relative_to(ROOT)): path.read_text("utf-8")
    for path in sorted(
        (*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("data/*.md"), *ROOT.glob("benchmarks/**/*.md"))
    )
}
_GROUP: Any = typer.main.get_command(app)
COMMANDS: dict[str, Any] = {name: command for name, command in _GROUP.commands.items() if not command.hidden}
"""What `aegis --help` lists, as typer has registered it."""
PLACEHOLDER = re.compile(r"^[A-Z]{1,}(@[A-Z]+)?$|[\[\]|]|^\.\.\.$|[@:][A-Z]")
"""A word that stands for another one: `FILE`, `N`, `[--json]`, `hrm@N`."""
QUICK = {"status", "models", "inbox", "answer", "approve", "reject", "promote", "rollback", "import", "export", "check"}
"""Commands that take no time, given a workspace; `collect` is quick where its teacher is `scripted`."""


def code_blocks(page: str) -> Iterator[tuple[str, str]]:
    """Yield each block of code on a page: its language, '' where none is given, and its text."""
    for block in re.finditer(r"^```(\w*)\n(.*?)^```$", page, re.MULTILINE | re.DOTALL):
        yield block[1], block[2]
    for indented in re.finditer(r"(?:^\n)((?:    .*\n)+)", re.sub(r"^```.*?^```$", "", page, flags=re.M | re.S), re.M):
        yield "", re.sub(r"^    ", "", indented[1], flags=re.MULTILINE)


def command_lines(text: str) -> Iterator[list[str]]:
    """Yield the words of each `aegis ...` line, without its comment."""
    for line in text.replace("\\\n", " ").splitlines():
        if line.removeprefix("$ ").startswith("aegis "):
            yield shlex.split(line.removeprefix("$ "), comments=True)[1:]


SHOWN = {
    f"{name}: {' '.join(words)}": words
    for name, page in PAGES.items()
    for language, block in code_blocks(page)
    if language == ""
    for words in command_lines(block)
}
_IN_SENTENCES = re.compile(r"(?<!`)`(aegis [a-z-][^`\n]*)`(?!`)")
MENTIONED = sorted({words for page in PAGES.values() for words in _IN_SENTENCES.findall(page)})


def parse_options(words: list[str]) -> None:
    """Raise typer's error where a command or an option is not there; arguments may be missing."""
    command = COMMANDS[words[0]]
    context = command.context_class(command, info_name=words[0])
    command.make_parser(context).parse_args(words[1:])


def test_the_pages_show_many_commands():
    assert len(SHOWN) > 40
    assert len(MENTIONED) > 40
    assert {words[0] for words in SHOWN.values()} > {"start", "train", "collect", "improve", "rollback"}


@pytest.mark.parametrize("words", SHOWN.values(), ids=SHOWN)
def test_a_command_line_of_a_page_parses(words):
    words = [word for word in words if word not in ("[--json]", "|")]
    if any(PLACEHOLDER.search(word) for word in words):
        parse_options([word.strip("[]") for word in words])
    else:
        COMMANDS[words[0]].make_context(words[0], words[1:])


@pytest.mark.parametrize("text", MENTIONED)
def test_a_command_that_a_sentence_mentions_has_the_options_that_it_names(text):
    words = shlex.split(text)[1:]
    if words[0].startswith("-"):
        assert CliRunner().invoke(app, words).exit_code == 0
    else:
        parse_options([*words, "VALUE"] if words[-1].startswith("-") else words)


def test_every_target_of_make_and_every_benchmark_that_a_page_names_is_there():
    code = "\n".join(text for page in PAGES.values() for text in re.findall(r"`([^`]+)`", page))
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text("utf-8"), re.MULTILINE))
    named = set(re.findall(r"^make ([a-z-]+)", code, re.MULTILINE))
    assert {"train", "test"} <= named <= targets
    benchmarks = set(re.findall(r"-m benchmarks\.(\w+)", code))
    lost = [one for one in benchmarks if not list(ROOT.glob(f"benchmarks/{one}*"))]
    assert len(benchmarks) > 8
    assert lost == []


# The commands' reference.


def section(command: str) -> str:
    found = re.search(rf"^## `aegis {command}`\n(.*?)(?=^## |\Z)", PAGES["docs/commands.md"], re.MULTILINE | re.DOTALL)
    assert found is not None, f"docs/commands.md has no section on aegis {command}"
    return found[1]


def options_of(command: str) -> dict[str, Any]:
    """Return each option of a command, by each of its names."""
    parameters = [one for one in COMMANDS[command].params if one.param_type_name == "option"]
    return {name: one for one in parameters for name in (*one.opts, *one.secondary_opts) if name != "--help"}


@pytest.mark.parametrize("command", COMMANDS)
def test_the_reference_names_each_option_of_a_command_and_no_other(command):
    rows = re.findall(r"^\| (`-.*?) \|", section(command), re.MULTILINE)
    documented = set(re.findall(r"--[a-z][\w-]*", " ".join(rows)))
    options = set(options_of(command))
    assert documented <= options
    assert not {option for option in options if f"`{option}" not in section(command)}


@pytest.mark.parametrize("command", COMMANDS)
def test_the_reference_gives_each_options_default(command):
    options = options_of(command)
    row = re.compile(r"^\| `(--[\w-]+)`[^|]* \|.*\| `?([^|`]+?)`? \|$", re.MULTILINE)
    for option, default in row.findall(section(command)):
        real = options[option].default
        if re.fullmatch(r"[\d.e-]+", default):
            assert float(default) == float(real), option
        elif default == "off":
            assert real is False, option


def test_the_reference_begins_with_a_list_of_all_commands():
    listed = re.findall(r"\[`([a-z-]+)`\]\(#aegis-", PAGES["docs/commands.md"].split("## ")[0])
    assert sorted(listed) == sorted(COMMANDS)


# What is quick is run as the page shows it.


def run(words: list[str]) -> str:
    result = CliRunner().invoke(app, words)
    assert result.exit_code == 0, f"aegis {shlex.join(words)}: {result.output}"
    return result.output


def shorten(words: list[str]) -> list[str]:
    """Return a command line of the tutorial for a small HRM and fewer decisions: what it shows takes minutes."""
    if words[0] == "train":
        return [*words, "--epochs", "5", "--lr", "1e-2", "--batch-size", "8"]
    if words[0] == "collect":  # no time-out falls within the run, so the seed alone settles what is decided
        return [*words, "--decisions", "300", "--answer-timeout", "3600", "--approval-timeout", "3600"]
    return words


@pytest.fixture(scope="module")
def tutorial(small_trainings, made_once):
    """Return the folder in which all of the tutorial's commands were run; `printed.json` has what each printed."""
    lines = [words for _, block in code_blocks(PAGES["docs/tutorial.md"]) for words in command_lines(block)]

    def follow(folder: Path) -> None:
        with pytest.MonkeyPatch.context() as patch:
            patch.chdir(folder)
            printed = [(words[0], run(shorten(words))) for words in lines]
        folder.joinpath("printed.json").write_text(json.dumps(printed), "utf-8")

    return made_once("tutorial", follow)


@pytest.mark.long
def test_the_tutorial_leads_from_an_empty_folder_to_a_serving_hrm_and_back(tutorial):
    by_command: dict[str, list[str]] = {}
    for command, output in json.loads(tutorial.joinpath("printed.json").read_text("utf-8")):
        by_command.setdefault(command, []).append(output)
    assert by_command.keys() >= {"collect", "check", "train", "run", "status", "models", "curve", "inbox", "rollback"}
    assert "✓ Agent now using trained HRM!" in by_command["train"][0]
    assert "The agent decides by hrm@1" in by_command["run"][0]
    assert "✓ the teacher serves" in by_command["rollback"][0]
    assert "✓ hrm@1 serves" in by_command["promote"][0]
    assert "0 refused" in by_command["import"][0]


@pytest.fixture
def lived_in(tmp_path, monkeypatch):
    """Work in a folder with a log and a workspace: three questions and two proposals wait, and a point is there."""
    monkeypatch.chdir(tmp_path)
    now = utc_now()
    with Database(Path("workspace", "aegis.db")) as database:
        store = DecisionStore(database)
        for step in range(6):
            idle = Action("idle")
            store.append(Decision("e", step, {}, ("idle", "x"), idle, None, "p", id=f"d{step}", decided_at=now))
        for number in range(3):
            Inbox(database).ask(f"d{number}", f"What is {number}?", now, 600)
        for number, setting in enumerate(("hits_per_search", "open_questions_limit")):
            proposal = Proposal(setting, 2, 4, "2 of 3 searches found nothing new", 0.6)
            ApprovalQueue(database).propose(f"d{number + 3}", proposal, now + timedelta(seconds=number), 600)
    labels = ("refund", "escalate", "answer")
    examples = [{"input": f"order {number}", "label": labels[number % 3]} for number in range(6)]
    Path("log.jsonl").write_text("".join(json.dumps(one) + "\n" for one in examples), "utf-8")
    CliRunner().invoke(app, ["import", "log.jsonl", "--point", "support-router"])
    return tmp_path


def is_quick(words: list[str]) -> bool:
    if any(PLACEHOLDER.search(word) for word in words):
        return False
    return words[0] in QUICK or (words[0] == "collect" and "scripted" in words)


QUICK_BLOCKS = {
    f"{name}: {' '.join(lines[0])}": (name, lines)
    for name, page in PAGES.items()
    if not name.startswith("docs/tutorial")  # their commands build on each other, and are run in order
    for language, block in code_blocks(page)
    if language == "" and (lines := list(command_lines(block))) and all(map(is_quick, lines)) and "--onnx" not in block
}


def test_some_pages_have_quick_examples():
    pages = {name for name, _ in QUICK_BLOCKS.values()}
    assert pages >= {"README.md", "docs/inbox.md", "docs/own-data.md", "docs/operation.md", "docs/your-agent.md"}


@pytest.mark.parametrize(("name", "lines"), QUICK_BLOCKS.values(), ids=QUICK_BLOCKS)
def test_a_quick_example_of_a_page_runs_as_it_is_shown(name, lines, lived_in):
    if any(words[0] == "collect" for words in lines):
        shutil.rmtree("workspace")  # it begins with an empty folder
    for language, block in code_blocks(PAGES[name]):
        if language == "json":
            Path("mine.json").write_text(block, "utf-8")
    for words in lines:
        run(words)


def test_the_example_of_own_data_is_read_whole_and_comes_back(lived_in):
    (block,) = (block for language, block in code_blocks(PAGES["docs/own-data.md"]) if language == "json")
    Path("mine.json").write_text(block, "utf-8")
    assert "1 decision added" in run(["import", "mine.json", "--workspace", "mine"])
    run(["export", "mine.jsonl", "--workspace", "mine"])
    written = [json.loads(line) for line in Path("mine.jsonl").read_text("utf-8").splitlines()]
    assert written[1]["state"] == json.loads(block)["examples"][0]["state"]


PYTHON = [
    pytest.param(block, id=f"{name} {number}")
    for name, page in PAGES.items()
    for number, (language, block) in enumerate(code_blocks(page))
    if language == "python"
]


def plan_small(training: TrainingConfig, gate: GateConfig, model: HRMConfig, rollout: RolloutConfig) -> TrainingPlan:
    """Return the plan of a small HRM, which needs more epochs and a higher learning rate."""
    return TrainingPlan(replace(training, epochs=6, learning_rate=6e-3), gate, SMALL, rollout)


@pytest.mark.long
@pytest.mark.parametrize("block", PYTHON)
def test_an_example_in_python_runs(block, tutorial, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr("aegis.envs.agent.TrainingPlan", plan_small)
    monkeypatch.chdir(tmp_path)
    shutil.copytree(tutorial / "tutorial", "workspace")
    if "exported" in block:
        run(["export", "exported", "--onnx"])
    # No test asks the network.
    made = {"__name__": "page"}
    exec(compile(block.replace("offline,wikipedia", "offline"), "<page>", "exec"), made)
    for observer in [one.observer for one in made.values() if hasattr(one, "observer")]:
        observer.close()
    assert "\nprint(" not in block or capsys.readouterr().out


def test_the_picture_of_the_house_has_every_room():
    house = next(block for language, block in code_blocks(PAGES["docs/overview.md"]) if language == "mermaid")
    paths = [*ROOT.glob("aegis/[a-z]*.py"), *(init.parent for init in ROOT.glob("aegis/*/__init__.py"))]
    assert {path.stem for path in paths} <= set(re.findall(r"\w+", house))


def test_a_link_leads_to_a_file():
    lost = [
        f"{name}: {target}"
        for name, page in PAGES.items()
        for target in re.findall(r"\]\(([^)\s#:]+)(?:#[^)\s]*)?\)", page)
        if not (ROOT / name).parent.joinpath(target).exists()
    ]
    assert lost == []
