"""`aegis export`: decisions into a file, or the HRM that serves into a folder."""

from __future__ import annotations

import shutil
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from aegis.cli.admission import find_place
from aegis.cli.display.output import check_writable, errors_explained, fail, mark, say
from aegis.cli.display.progress import waiting
from aegis.cli.options import PointOption, WorkspaceOption
from aegis.packages import require
from aegis.rendering import clean_text, counted
from aegis.research import run as research_run
from aegis.types import list_names
from aegis.workspace import DEFAULT_WORKSPACE, HRM, LINEAR, MIXED, SHIELDED, Workspace, version_kind

if TYPE_CHECKING:
    from aegis.hrm import ExportReport, HRMPolicy
    from aegis.promotion import Serving
    from aegis.store import DecisionStore

_ENDINGS = (".json", ".jsonl", ".json.gz", ".jsonl.gz")
_CHECKED_STATES = 24
"""States with which an exported model that is no HRM alone keeps its answers"""

_CHECK_FILE = "check.json"
"""In every export"""
_PARTS = {
    HRM: ("first.onnx", "later.onnx", "first.int8.onnx", "later.int8.onnx", "gpt2.tiktoken"),
    LINEAR: ("linear.safetensors",),
    MIXED: ("onnx", "linear.json", "linear.safetensors"),
    SHIELDED: ("onnx", "base"),
}
"""What an export holds beside `policy.json` and the check, by its kind"""


def export(
    file: Annotated[
        Path, typer.Argument(help="For the decisions: .json, .jsonl, .json.gz or .jsonl.gz; with --onnx a new folder.")
    ],
    workspace: WorkspaceOption = DEFAULT_WORKSPACE,
    point: PointOption = None,
    all_policies: Annotated[
        bool, typer.Option("--all", help="The HRM's decisions too, not just the teacher's.")
    ] = False,
    onnx: Annotated[
        bool, typer.Option("--onnx", help="Write the version that serves, an HRM as ONNX, to decide with no PyTorch.")
    ] = False,
) -> None:
    """Write the decisions and outcomes of a workspace or a decision point to a file, or its HRM to a folder."""
    with errors_explained():
        place = find_place(workspace, point)
        if onnx:
            _export_model(file, place)
            return
        if file.is_dir():
            example = file / "decisions.jsonl.gz"
            fail(f"export {file}: is a folder: name a file in it, e.g. {example}; --onnx writes the HRM to a folder")
        _check_ending(file)
        check_writable(file, "export")
        from aegis import lifecycle
        from aegis.research import RESEARCH_ACTIONS
        from aegis.store import export_examples

        replaced = ", in place of the file that was there" if file.exists() else ""
        with lifecycle.open_store(lifecycle.existing(place)) as store, waiting() as progress:
            card = lifecycle.describe_collection(store, None if point else RESEARCH_ACTIONS)
            teacher = store.teacher()
            policies = None if all_policies or teacher is None else [teacher.name]
            number = export_examples(store, file, policies=policies, metadata=card, progress=progress)
            others = 0 if policies is None else store.count() - number
        say(f"{mark(number > 0, '⚠')} {counted(number, 'decision')} written to {clean_text(str(file))}{replaced}")
        if others:
            say(f"  left out: {counted(others, 'decision')} by other policies (--all writes them, too)")


def _check_ending(file: Path) -> None:
    if not file.name.endswith(_ENDINGS):
        fail(
            f"export {file}: the ending says the form: {', '.join(_ENDINGS)} for the decisions; --onnx writes the HRM"
            " that serves, to a folder"
        )


def _export_model(folder: Path, workspace: Workspace) -> None:
    if folder.exists() and (not folder.is_dir() or (any(folder.iterdir()) and not (folder / _CHECK_FILE).exists())):
        fail(f"{folder}: holds something else already: name a new folder")
    from aegis import lifecycle

    with lifecycle.open_store(lifecycle.existing(workspace)) as store:
        serving = lifecycle.find_serving(store, workspace)
        if serving is None:
            fail(f"{workspace.folder}: no HRM serves here yet: run `aegis train{workspace.options}` first")
        if version_kind(serving.name) == LINEAR:
            _export_linear(folder, store, serving)
        else:
            _export_hrm(folder, workspace, store, serving)


def _export_linear(folder: Path, store: DecisionStore, serving: Serving) -> None:
    from aegis.hrm import LinearPolicy
    from aegis.lifecycle.point import read_adoption

    states = [example.decision.state for example in store.recent(_CHECKED_STATES)]
    policy = LinearPolicy.load(serving.folder)
    policy.with_actions(read_adoption(store)(policy.actions)).export(folder.resolve(), states)
    LinearPolicy.load(folder)  # it answers as the policy that was exported, or this raises
    _remove_earlier(folder, LINEAR)
    checked = f"checked on {counted(len(states), 'recorded state')}" if states else "no recorded state to check it on"
    say(f"✓ {serving.name} written to {folder}, {checked}")
    say(f"  {counted(policy.parameters, 'weight')} as safetensors; `aegis.load_export` reads them, by numpy")


def _remove_earlier(folder: Path, kind: str) -> None:
    """Remove what an earlier export of another kind wrote into a folder: who takes the folder would take it, too."""
    for name in {name for names in _PARTS.values() for name in names}.difference(_PARTS[kind]):
        if (folder / name / _CHECK_FILE).exists():
            shutil.rmtree(folder / name)
        elif not (folder / name).is_dir():
            (folder / name).unlink(missing_ok=True)


def _export_hrm(folder: Path, workspace: Workspace, store: DecisionStore, serving: Serving) -> None:
    require("torch", "exporting")
    with waiting() as progress:
        progress("Loading what an export needs", 0, 0)
        from aegis import lifecycle
        from aegis.hrm import HRMPolicy, MixedPolicy, base_of, export_onnx, kept_of, load_policy
        from aegis.lifecycle.exported import load_export, write_shielded
        from aegis.lifecycle.point import read_adoption, read_renames
        from aegis.lifecycle.policies.keeping import rename_kept

        examples = lifecycle.heldout_examples(store, tuple if workspace.point_name else research_run.shipped_heldout)
        states = [state for state, _ in examples[:_CHECKED_STATES]]
        load = partial(load_policy, backend="eager", adopt=read_adoption(store))
        policy, base = load(serving.folder), base_of(serving.folder)
        kept = rename_kept(kept_of(serving.folder), read_renames(store))

        def write(hrm: HRMPolicy, into: Path) -> ExportReport:
            return export_onnx(hrm, into, examples, progress)

        if isinstance(policy, MixedPolicy):
            assert isinstance(policy.hrm, HRMPolicy)
            report = policy.export(folder.resolve(), states, partial(write, policy.hrm))
            kind, what = MIXED, ", its HRM alone"
        elif base and kept:
            before = load(serving.folder.parent / base)
            assert isinstance(policy, HRMPolicy)
            assert isinstance(before, HRMPolicy)
            report = write_shielded(policy, before, kept, folder.resolve(), states, write)
            kind, what = SHIELDED, f" alone; with {base}, of which it keeps {list_names([str(one) for one in kept])}"
        else:
            assert isinstance(policy, HRMPolicy)
            report, kind, what = write(policy, folder.resolve()), HRM, ""
        if kind != HRM:  # which is checked before it is put in place
            load_export(folder)  # it answers as what was exported, or this raises
            _remove_earlier(folder, kind)
    say(f"✓ {serving.name} written to {folder}, checked on {report.states} held-out decisions{what}")
    say(f"  eager      accuracy {report.accuracy:.2%}")
    for one in report.backends:
        say(
            f"  {one.backend:<10} accuracy {one.accuracy:.2%}, {one.differing} other actions, probabilities within"
            f" {one.max_difference:.0e}, alone and beside others within {one.company_difference:.0e},"
            f" {one.ms_p50:.2f} ms a decision"
        )
