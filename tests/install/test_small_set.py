"""Where only the core dependencies are installed: an exported HRM decides, and what else is asked for is named.

The rest of this environment is hidden from a process; no network is needed.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from aegis.cli.main import app
from aegis.store import Database, DecisionStore, StateKey

LAUNCHER = Path(__file__).parent / "small_set.py"
TRAIN = "pip install 'aegis-hrm[train]'"
NEEDED = {
    "archive": "archiving decisions needs PyArrow: pip install 'aegis-hrm[archive]'",
    "move": "a workspace on PostgreSQL needs psycopg: pip install 'aegis-hrm[postgres]'",
    "train": f"training needs PyTorch: {TRAIN}",
    "check": f"training needs PyTorch: {TRAIN}",
    "improve": f"phase 4 needs PyTorch: {TRAIN}",
    "start": f"an agent by itself, which trains beside its decisions, needs PyTorch: {TRAIN}",
    "train-next": f"training needs PyTorch: {TRAIN}",
    "improve-next": f"phase 4 needs PyTorch: {TRAIN}",
    "compare": f"the comparison needs PyTorch: {TRAIN}",
    "ope": f"the estimate needs scikit-learn: {TRAIN}",
    "evaluate": f"simulating worlds needs Gymnasium: {TRAIN}",
    "audit-data": f"the audit needs scikit-learn: {TRAIN}",
    "scan": f"a scan needs scikit-learn: {TRAIN}",
    "serve": "serving over HTTP needs FastAPI: pip install 'aegis-hrm[serve]'",
    "dashboard": "the dashboard needs FastAPI: pip install 'aegis-hrm[serve]'",
    "report --html": "a report of the dashboard needs FastAPI: pip install 'aegis-hrm[serve]'",
    "bench": "the benchmark needs Transformers: pip install 'aegis-hrm[teachers]'",
    "export --onnx": f"exporting needs PyTorch: {TRAIN}",
    "run --backend eager": f"an HRM that is not exported to ONNX needs PyTorch: {TRAIN}",
    "run --device cuda": f"--device cuda needs PyTorch: {TRAIN}",
    "run --backend openvino": "--backend openvino needs OpenVINO: pip install 'aegis-hrm[openvino]'",
    "collect": "no language model is installed: pip install 'aegis-hrm[offline]'",
    "collect --teacher gpt2": "a language model on this machine needs Transformers: pip install 'aegis-hrm[teachers]'",
    "collect --teacher openai:m": "asking a server needs httpx2: pip install 'aegis-hrm[online]'",
    "collect --search arxiv": "asking a server needs httpx2: pip install 'aegis-hrm[online]'",
    "collect --ray": "--ray needs Ray: pip install 'aegis-hrm[ray]'",
    "prompt in a terminal": f"the prompt in a terminal needs prompt-toolkit: {TRAIN}",
    "curve --plot": "--plot needs matplotlib: pip install 'aegis-hrm[compare]'",
}
"""What each command says in one line, and ends with exit code 2"""


@pytest.fixture(scope="module")
def results(served, tmp_path_factory):
    """Return of each command its exit code, output and errors."""
    scratch = tmp_path_factory.mktemp("small")
    own, new = ["--workspace", str(served.workspace.folder)], ["--workspace", str(scratch / "new")]
    newer = ["--workspace", str(scratch / "newer")]
    scripted = ["--decisions", "4", "--teacher", "scripted"]
    pointed = ["--point", "router", "--workspace", str(scratch / "points")]
    log = scratch / "log.jsonl"
    log.write_text("".join(json.dumps({"input": "x", "label": label, "id": label}) + "\n" for label in "ab"))
    states = scratch / "states.jsonl"
    states.write_text('{"text": "x"}\n')
    commands = {
        "--help": ["--help"],
        "status": ["status", *own],
        "models": ["models", *own],
        "curve": ["curve", *own],
        "run": ["run", *own, *scripted, "--audit-rate", "1", "--drift-quantile", "0", "--seed", "1"],
        "run --defer-below": ["run", *own, *scripted, "--audit-rate", "0", "--defer-below", "1"],
        "inbox": ["inbox", *own],
        "answer": ["answer", "1", "A log", *own],
        "approve": ["approve", "1", *own],
        "reject": ["reject", "2", *own],
        "export": ["export", str(scratch / "decisions.jsonl.gz"), *own],
        "import": ["import", str(scratch / "decisions.jsonl.gz"), *new],
        "import --point": ["import", str(log), *pointed],
        "status --point": ["status", *pointed],
        "report": ["report", "a", "--reward", "1", *pointed],
        "report --html": ["report", "--html", str(scratch / "report.html"), *own],
        "savings": ["savings", *pointed],
        "init": ["init", str(scratch / "my-agent")],
        "collect --teacher scripted": ["collect", *scripted, *new],
        "prompt": ["prompt", *own],
        "rollback": ["rollback", "--reason", "worse", "--yes", *own],
        "promote": ["promote", "hrm@1", "--reason", "better", "--yes", *own],
        "train": ["train", *own],
        "check": ["check"],
        "improve": ["improve", *own],
        "start": ["start", "--headless", *own],
        "train-next": ["train-next", *own],
        "improve-next": ["improve-next", "--settings", "{}", *own],
        "compare": ["compare"],
        "ope": ["ope", "--policy", "hrm@1", *own],
        "verify": ["verify", *own],
        "doctor": ["doctor", *own],
        "replay": ["replay", *own],
        "archive": ["archive", "--keep", "10", *own],
        "move": ["move", "postgresql://nobody@/none?host=/nowhere", *own],
        "forget": ["forget", "--text", "nobody of this name", *own],
        "evaluate": ["evaluate", *own],
        "audit-data": ["audit-data"],
        "scan": ["scan", str(scratch / "decisions.jsonl.gz")],
        "bench": ["bench"],
        "serve": ["serve", *own],
        "dashboard": ["dashboard", *own],
        "token": ["token", "agent", "--file", str(scratch / "tokens.jsonl")],
        "export --onnx": ["export", str(scratch / "exported"), "--onnx", *own],
        "run --backend eager": ["run", *own, *scripted, "--backend", "eager"],
        "run --device cuda": ["run", *own, *scripted, "--device", "cuda"],
        "run --backend openvino": ["run", *own, *scripted, "--backend", "openvino"],
        "collect": ["collect", *newer],
        "collect --teacher gpt2": ["collect", "--teacher", "gpt2", *newer],
        "collect --teacher openai:m": ["collect", "--teacher", "openai:m", "--base-url", "http://localhost:9", *newer],
        "collect --search arxiv": ["collect", *scripted, "--search", "arxiv", *newer],
        "collect --ray": ["collect", *scripted, "--ray", "local", *newer],
        "label": ["label", str(states), "--teacher", "scripted", "--actions", "a,b"],
        "prompt in a terminal": ["prompt", *own],
        "curve --plot": ["curve", "--plot", str(scratch / "curve.png"), *own],
    }
    typed = {"prompt": "status\nthink\nn\nstart\nquit\n", "prompt in a terminal": None}
    file = scratch / "commands.json"
    file.write_text(json.dumps([[name, arguments, typed.get(name, "")] for name, arguments in commands.items()]))
    done = subprocess.run([sys.executable, str(LAUNCHER), str(file)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_all_but_the_core_dependencies_is_hidden(results):
    assert {"prompt_toolkit", "httpx2", "tenacity", "defusedxml"} <= set(results["hidden"])
    assert {"torch", "transformers", "sklearn", "scipy", "onnx", "datasketch", "gymnasium"} <= set(results["hidden"])
    assert not {"aegis", "numpy", "onnxruntime", "pydantic", "safetensors"} & set(results["hidden"])
    assert results["found"] == []


def test_every_command_is_tried(results):
    known = {one.name or one.callback.__name__ for one in app.registered_commands}
    known = {name.rstrip("_").replace("_", "-") for name in known}
    assert known - {name.split()[0] for name in results["results"]} == set()


def test_no_command_prints_a_traceback(results):
    for name, (_, output, errors) in results["results"].items():
        assert "Traceback" not in output + errors, f"{name}: {errors}"


def test_commands_that_decide_or_record_work(results):
    for name, (code, output, errors) in results["results"].items():
        if name not in NEEDED:
            assert code == 0, f"{name}: {output}{errors}"


@pytest.mark.parametrize("name", NEEDED)
def test_commands_that_need_more_packages_say_so_in_one_line(results, name):
    code, output, errors = results["results"][name]
    assert code == 2, output + errors
    (line,) = [line for line in (output + errors).splitlines() if "needs" in line or "is installed" in line]
    assert NEEDED[name] in line
    if name != "check":  # it shows the data first
        assert line == f"error: {line.removeprefix('error: ')}"


def test_the_hrm_decides_is_watched_and_is_recorded(results, served):
    shown = results["results"]["run"][1]
    assert "The agent decides by hrm@1" in shown
    assert " on onnx" in shown
    with Database(served.workspace.database) as database:
        store = DecisionStore(database)
        by = [decision.policy for decision in store.decisions()]
        assert by.count("hrm@1") >= 4
        assert (store.state.record(StateKey.MONITOR, "hrm@1") or {"audits": 0})["audits"] >= 1


def test_the_file_by_which_unlike_states_are_known_is_read(served):
    code = (
        "import sys; from pathlib import Path; import small_set; small_set.hide(small_set.other_modules());"
        "from aegis.promotion.monitoring.drift import read_drift; print(read_drift(Path(sys.argv[1])).distances.size)"
    )
    command = [sys.executable, "-c", code, str(served.export.parent)]
    done = subprocess.run(command, capture_output=True, text=True, cwd=LAUNCHER.parent)
    assert (done.returncode, done.stdout) == (0, "20\n"), done.stderr


def test_the_prompt_starts_no_agent_that_can_not_train(results):
    code, output, _ = results["results"]["prompt"]
    assert code == 0
    assert NEEDED["start"] in output


def test_the_type_hints_are_shipped():
    import aegis

    assert (Path(aegis.__file__).parent / "py.typed").is_file()
