"""The package stands as docs/architecture.md describes it: imports run one way, and torch stays in its three rooms."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from itertools import pairwise
from pathlib import Path

import pytest

import aegis
from aegis.cli.main import app

FLOORS: tuple[frozenset[str], ...] = (
    frozenset(
        {"types", "errors", "config", "testing", "rendering", "cache", "http", "workspace", "child", "packages"}
        | {"atomic", "bfloat16", "bounds"}
    ),
    frozenset({"store", "hrm", "teachers", "formats"}),
    frozenset({"training", "promotion", "cluster"}),
    frozenset({"lifecycle"}),
    frozenset({"door"}),
    frozenset({"research", "envs"}),
    frozenset({"experiments", "serving", "client"}),
    frozenset({"dashboard"}),
    frozenset({"cli"}),
    frozenset({"__main__"}),
)
"""Lowest first. A room imports from the floors below its own; only on the lowest floor do siblings know each other."""
FLOOR = {room: number for number, floor in enumerate(FLOORS) for room in floor}

TORCH_ROOMS = frozenset({"hrm", "teachers", "training"})
TORCH_WHEN_ASKED = frozenset({"bfloat16"})
"""Rooms on the lowest floor whose functions import torch for `hrm` and `teachers`; importing the room does not."""
TORCH_PACKAGES = frozenset({"torch", "transformers"})
AN_EXTRAS = frozenset({"aegis.store.engine.postgres", "aegis.store.engine.schema"})
"""Modules that need an extra's package to be imported, and that are imported where a workspace asks for it"""
NEVER = {("research", room) for room in ("hrm", "teachers", "training")} | {
    ("promotion", room) for room in ("hrm", "teachers")
}
"""Lower rooms that a room must not know even so: the agent and the gate see a `Policy`, never a model."""

MOST_PARAMETERS = 8
MANY_PARAMETERS = {command.callback for command in app.registered_commands}
"""Functions that may take more: a command has a parameter for each of its options"""

FOLDER = Path(aegis.__file__).parent
SOURCES = {
    ".".join(("aegis", *path.relative_to(FOLDER).with_suffix("").parts)).removesuffix(".__init__"): path
    for path in sorted(FOLDER.rglob("*.py"))
}
"""Every module of the package, by its dotted name."""


@cache
def parse(source: str) -> ast.Module:
    """Return a source's tree, made once; nobody may change it."""
    return ast.parse(source)


def room_of(module: str) -> str:
    """Return the room a module lies in; '' for the package itself."""
    return [*module.split("."), ""][1]


@cache
def import_nodes(source: str, for_types: bool = True) -> tuple[ast.Import | ast.ImportFrom, ...]:
    """Return a source's imports, anywhere in it; without those for a type alone (`if TYPE_CHECKING`) where asked."""
    found: list[ast.Import | ast.ImportFrom] = []
    left: list[ast.AST] = [parse(source)]
    while left:
        node = left.pop()
        if isinstance(node, ast.Import | ast.ImportFrom):
            found.append(node)
        elif not for_types and isinstance(node, ast.If) and getattr(node.test, "id", "") == "TYPE_CHECKING":
            left += node.orelse
        else:
            left += ast.iter_child_nodes(node)
    return tuple(sorted(found, key=lambda node: node.lineno))


def imports_of(
    module: str, nodes: Iterable[ast.Import | ast.ImportFrom], is_package: bool
) -> Iterator[tuple[str, int]]:
    """Yield each module that a module imports by these nodes, with the line."""
    for node in nodes:
        if isinstance(node, ast.Import):
            yield from ((alias.name, node.lineno) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                package = module.split(".") if is_package else module.split(".")[:-1]
                package = package[: len(package) - node.level + 1]
                base = ".".join([*package, *base.split(".")]).rstrip(".")
            # `from aegis import x` names a room, if there is one of that name.
            rooms = [alias.name for alias in node.names if base == "aegis" and alias.name in FLOOR]
            yield from ((f"aegis.{room}", node.lineno) for room in rooms)
            if not rooms:
                yield base, node.lineno


def find_violations(sources: Mapping[str, str]) -> list[str]:
    """Return every import that the house forbids, in sources given by module name."""
    found = []
    for module, source in sources.items():
        room = room_of(module)
        if room and room not in FLOOR:
            found.append(f"{module}: room {room!r} stands on no floor")
            continue
        is_package = any(other.startswith(module + ".") for other in sources)
        nodes = import_nodes(source, for_types=bool(room))  # the package names for a type checker what it has
        for imported, line in imports_of(module, nodes, is_package):
            where = f"{module}:{line} imports {imported}"
            top, other = imported.split(".")[0], room_of(imported)
            if top in TORCH_PACKAGES and room not in TORCH_ROOMS | TORCH_WHEN_ASKED:
                found.append(f"{where}: only {', '.join(sorted(TORCH_ROOMS))} may")
            if top != "aegis" or not other or other == room:
                continue
            if not room:
                found.append(f"{where}: the package itself imports no room")
            elif other not in FLOOR:
                found.append(f"{where}: a room that stands on no floor")
            elif FLOOR[other] > FLOOR[room] or (FLOOR[other] == FLOOR[room] > 0):
                found.append(f"{where}: not a floor below its own")
            elif (room, other) in NEVER:
                found.append(f"{where}: {room} must not know {other}")
    return found


def names_handed_on(sources: Mapping[str, str]) -> dict[tuple[str, str], str]:
    """Return the module of each name that a package imports, at once or on first access."""
    return {
        (package, alias.asname or alias.name): node.module
        for package, source in sources.items()
        if any(other.startswith(package + ".") for other in sources)
        for node in import_nodes(source)
        if isinstance(node, ast.ImportFrom) and node.module is not None and node.module in sources
        for alias in node.names
    }


def find_cycle(sources: Mapping[str, str]) -> list[str]:
    """Return modules that import each other in a ring, also in function bodies, or nothing.

    A name that a package hands on counts as an import of the module that has it. An import for a type alone
    (`if TYPE_CHECKING`) does not count.
    """
    handed_on = names_handed_on(sources)
    graph: dict[str, set[str]] = {}
    for module, source in sources.items():
        nodes = import_nodes(source, for_types=False)
        is_package = any(other.startswith(module + ".") for other in sources)
        names = {name for name, _ in imports_of(module, nodes, is_package)}
        for node in nodes:
            if isinstance(node, ast.ImportFrom) and node.module and not node.level:
                names |= {handed_on.get((node.module, alias.name), node.module) for alias in node.names}
                names |= {f"{node.module}.{alias.name}" for alias in node.names}
        graph[module] = (names & set(sources)) - {module}
    done: set[str] = set()

    def visit(module: str, path: list[str]) -> list[str]:
        if module in path:
            return [*path[path.index(module) :], module]
        if module in done:
            return []
        for imported in sorted(graph[module]):
            if ring := visit(imported, [*path, module]):
                return ring
        done.add(module)
        return []

    return next((ring for module in sorted(graph) if (ring := visit(module, []))), [])


def find_function(name: str) -> str:
    """Return the module of a function or method given by its dotted name; raises `LookupError` if it does not exist."""
    parts = name.split(".")
    for end in range(len(parts) - 1, 1, -1):
        module = ".".join(parts[:end])
        if module in SOURCES:
            body = parse(SOURCES[module].read_text("utf-8")).body
            for part in parts[end:]:
                nodes = [
                    node for node in body if isinstance(node, ast.ClassDef | ast.FunctionDef) and node.name == part
                ]
                if not nodes:
                    raise LookupError(f"{name}: {module} has no {part}")
                body = nodes[0].body
            return module
    raise LookupError(f"{name}: no such module")


def test_every_room_stands_on_a_floor_and_every_floor_has_rooms_that_exist():
    assert {room_of(module) for module in SOURCES} - {""} == set(FLOOR)
    assert len(SOURCES) > 40


def test_imports_run_one_way_and_torch_stays_in_its_rooms():
    assert find_violations({module: path.read_text("utf-8") for module, path in SOURCES.items()}) == []


def test_no_modules_import_each_other_in_a_ring():
    assert find_cycle({module: path.read_text("utf-8") for module, path in SOURCES.items()}) == []


@pytest.mark.parametrize(("way", "first", "last"), [("decision", "cli", "store"), ("gradient", "lifecycle", "hrm")])
def test_each_way_in_the_docs_is_short_and_goes_down_by_imports_to_functions_that_exist(
    way, first, last, documented_ways
):
    hops = [find_function(f"aegis.{hop}") for hop in documented_ways[way]]
    assert len(hops) <= MOST_HOPS
    assert (room_of(hops[0]), room_of(hops[-1])) == (first, last)
    for above, below in pairwise(hops):
        assert FLOOR[room_of(below)] <= FLOOR[room_of(above)], f"{above} calls up to {below}"
        nodes = import_nodes(SOURCES[above].read_text("utf-8"))
        imported = {room_of(name) for name, _ in imports_of(above, nodes, False)}
        assert room_of(below) in imported | {room_of(above)}, f"{above} does not import the room of {below}"


def test_a_way_to_a_function_that_does_not_exist_is_found():
    assert find_function("aegis.store.decisions.DecisionStore.append") == "aegis.store.decisions"
    for missing in ("aegis.store.decisions.DecisionStore.forget", "aegis.nothing.here"):
        with pytest.raises(LookupError, match=missing):
            find_function(missing)


@pytest.mark.parametrize(
    ("module", "source", "said"),
    [
        ("aegis.store.x", "from aegis.research import Agent", "not a floor below"),
        ("aegis.store.x", "import aegis.lifecycle", "not a floor below"),
        ("aegis.store.x", "from aegis import lifecycle", "not a floor below"),
        ("aegis.hrm.x", "from aegis.store import Database", "not a floor below"),
        ("aegis.training.x", "def f():\n    from aegis.promotion.judging.gate import judge", "not a floor below"),
        ("aegis.types", "def f():\n    import aegis.store.database", "not a floor below"),
        ("aegis.lifecycle", "from .cli import main", "not a floor below"),
        ("aegis.lifecycle.x", "from aegis.research import RESEARCH_ACTIONS", "not a floor below"),
        ("aegis.door.x", "from aegis.research import RESEARCH_ACTIONS", "not a floor below"),
        ("aegis.research.search.x", "from ...training import dataset", "research must not know training"),
        ("aegis.research.x", "from aegis.hrm import HRM", "research must not know hrm"),
        ("aegis.research.x", "if True:\n    import aegis.teachers.prompt", "research must not know teachers"),
        ("aegis.promotion.x", "from aegis.hrm import HRMPolicy", "promotion must not know hrm"),
        ("aegis.research.x", "import torch.nn.functional as F", "only hrm, teachers, training may"),
        ("aegis.types", "def f():\n    import torch", "only hrm, teachers, training may"),
        ("aegis.lifecycle", "def f():\n    from torch import Tensor", "only hrm, teachers, training may"),
        ("aegis.cli.x", "class A:\n    import transformers", "only hrm, teachers, training may"),
        ("aegis", "from aegis.types import State", "the package itself imports no room"),
        ("aegis.utils", "x = 1", "'utils' stands on no floor"),
        ("aegis.hrm.x", "import aegis.utils", "a room that stands on no floor"),
    ],
)
def test_a_forbidden_import_is_found(module, source, said):
    (violation,) = find_violations({module: source})
    assert said in violation


@pytest.mark.parametrize(
    ("module", "source"),
    [
        ("aegis.types", "from aegis.errors import DataError"),
        ("aegis.training.x", "import torch\nfrom aegis.hrm import HRM"),
        ("aegis.cli.x", "from aegis import __version__, lifecycle\nfrom aegis.store import Database"),
        ("aegis.research.search.x", "from .query import parse_query\nfrom aegis.store import Database"),
        ("aegis.research", "from .loop import Agent\nimport torchless"),
    ],
)
def test_an_allowed_import_is_no_violation(module, source):
    assert find_violations({module: source, "aegis.research.loop": "", "aegis.research.search.query": ""}) == []


def test_a_ring_of_imports_is_found():
    ring = {
        "aegis.hrm.a": "import aegis.hrm.b",
        "aegis.hrm.b": "from aegis.hrm.c import x",
        "aegis.hrm.c": "import aegis.hrm.a",
    }
    assert find_cycle(ring) == ["aegis.hrm.a", "aegis.hrm.b", "aegis.hrm.c", "aegis.hrm.a"]
    assert find_cycle(ring | {"aegis.hrm.c": "def f():\n    import aegis.hrm.a"}) != []
    handed_on = {
        "aegis.hrm": "if TYPE_CHECKING:\n    from aegis.hrm.a import A",
        "aegis.hrm.c": "from aegis.hrm import A",
    }
    assert find_cycle(ring | handed_on) != []
    assert find_cycle(ring | {"aegis.hrm.c": "if TYPE_CHECKING:\n    import aegis.hrm.a"}) == []


def test_the_store_the_agent_the_gate_and_the_command_line_load_without_torch(tmp_path):
    modules = [
        m for m in SOURCES if room_of(m) not in TORCH_ROOMS | {"lifecycle", "experiments"} and m not in AN_EXTRAS
    ]
    event = "RunEvent('decided', '', {'gained': 1, 'reward': 1.0})"
    draws = f"with TensorBoardLog(Path({str(tmp_path / 'curves')!r})) as board: board.add({event})"
    code = "\n".join(
        (
            f"import sys\nfrom pathlib import Path\nfor name in {modules!r}: __import__(name)",
            "from aegis.lifecycle.event import RunEvent\nfrom aegis.lifecycle.tensorboard import TensorBoardLog",
            f"{draws}\nassert 'torch' not in sys.modules",
        )
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=FOLDER.parent, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_the_package_and_the_help_load_next_to_nothing():
    # Their time follows from what they load (0.3 s are allowed); a count also holds on a busy machine.
    heavy = "{'torch', 'transformers', 'onnx', 'onnxruntime', 'numpy', 'scipy', 'sklearn', 'pydantic', 'matplotlib'}"
    for code, allowed in (
        ("import aegis", 150),
        (
            "from typer.testing import CliRunner\nfrom aegis.cli.main import app\nCliRunner().invoke(app, ['--help'])",
            900,
        ),
    ):
        checks = f"import sys\n{code}\nassert not {heavy} & set(sys.modules), {heavy} & set(sys.modules)"
        checks += f"\nassert len(sys.modules) < {allowed}, len(sys.modules)"
        done = subprocess.run([sys.executable, "-c", checks], cwd=FOLDER.parent, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("module", ["onnx.policy", "codec", "vocabulary", "backend"])
def test_the_rooms_that_decide_by_an_export_load_without_torch(module):
    code = f"import sys\nimport aegis.hrm.{module}\nassert not {{'torch', 'onnx'}} & set(sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], cwd=FOLDER.parent, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


MOST_LINES, MOST_MODULES, MOST_FUNCTION_LINES, MOST_HOPS = 400, 12, 50, 12
LONG_FUNCTIONS = {
    "aegis.research.proposals.candidates": "one list of what may be proposed, with each one's condition beside it",
    "aegis.experiments.benchmark.decide": "the turns of one run, in the order in which they are timed",
    "aegis.hrm.fused._backward": "one formula: parts of it would hand on a dozen tensors",
    "aegis.hrm.model.forward": "the model as the paper has it, read from the top",
    "aegis.lifecycle.rl.simulated.improve": "phase 4 in simulated worlds, step by step",
    "aegis.lifecycle.training.candidate._train_candidate": "phases 2 and 3, step by step",
}
"""Functions over the limit, each with its reason"""


def test_every_file_says_its_purpose_first_and_fits_the_eye():
    sources = {module: path.read_text("utf-8") for module, path in SOURCES.items()}
    first = {module: (ast.get_docstring(parse(source)) or "").split("\n")[0] for module, source in sources.items()}
    assert [module for module, line in first.items() if not line.rstrip().endswith((".", ":"))] == []
    assert [module for module, source in sources.items() if len(source.splitlines()) > MOST_LINES] == []


def test_no_folder_has_more_than_twelve_modules():
    modules = Counter(path.parent for path in SOURCES.values() if path.name != "__init__.py")
    assert [str(folder) for folder, count in modules.items() if count > MOST_MODULES] == []


def test_only_named_functions_have_more_than_fifty_lines():
    # A command's signature is its options, so the command line is left out.
    long = {
        f"{module}.{node.name}"
        for module, path in SOURCES.items()
        if room_of(module) != "cli"
        for node in ast.walk(parse(path.read_text("utf-8")))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        if (node.end_lineno or node.lineno) - node.lineno + 1 > MOST_FUNCTION_LINES
    }
    assert long == set(LONG_FUNCTIONS)


def test_every_folder_has_its_tests_in_a_folder_of_the_same_name():
    tests = Path(__file__).parent
    folders = {path.parent.relative_to(FOLDER) for path in SOURCES.values()} - {Path("config")}
    assert [folder.as_posix() for folder in sorted(folders) if not list((tests / folder).glob("test_*.py"))] == []


def test_every_test_file_fits_the_eye():
    tests = sorted(Path(__file__).parent.rglob("*.py"))
    assert len(tests) > 100
    assert [path.name for path in tests if len(path.read_text("utf-8").splitlines()) > 400] == []


def test_no_function_but_a_command_takes_more_than_eight_parameters():
    commands = {(one.__module__, one.__name__) for one in MANY_PARAMETERS}
    many = []
    for module, path in SOURCES.items():
        tree = parse(path.read_text("utf-8"))
        methods = {id(node) for kind in ast.walk(tree) if isinstance(kind, ast.ClassDef) for node in kind.body}
        for node in ast.walk(tree):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and (module, node.name) not in commands:
                given = [*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs]
                if len(given) - (id(node) in methods) > MOST_PARAMETERS:
                    many.append(f"{module}:{node.lineno} {node.name}")
    assert many == []
