"""`aegis check`, `export`, `import` and `audit-data`: decisions in files, and whether they are fit for training."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from aegis.cli.admission import check_folder, describe_new
from aegis.cli.display.output import (
    BAD_INPUT,
    check_writable,
    errors_explained,
    fail,
    heading,
    say,
    show_rejected,
    show_source,
)
from aegis.cli.display.progress import waiting
from aegis.cli.options import ExcludeOption, JsonOption, RenameOption, StateTokensOption, WorkspaceOption, parse_names
from aegis.config import (
    FULL_TRAINING_DECISIONS,
    MIN_TRAINING_DECISIONS,
    RARE_ACTION_DECISIONS,
    HRMConfig,
    TrainingConfig,
)
from aegis.errors import MissingPackageError, TeacherMismatchError
from aegis.packages import require
from aegis.rendering import clean_text, counted
from aegis.research import run as research_run
from aegis.workspace import DEFAULT_WORKSPACE, Workspace

if TYPE_CHECKING:
    from aegis.training import ModelCheck
    from aegis.types import ActionList, Decision

_DEFAULTS = TrainingConfig()


def check(
    data: Annotated[
        Path | None, typer.Option(help="JSON or JSONL file of decisions. Default: as for `aegis train`.")
    ] = None,
    workspace: Annotated[
        Path | None, typer.Option(help=f"Folder of the agent to train. Default: ./{DEFAULT_WORKSPACE}")
    ] = None,
    max_tokens: StateTokensOption = _DEFAULTS.max_tokens,
    exclude: ExcludeOption = None,
    rename: RenameOption = None,
) -> None:
    """Check data and model, and say whether training is ready. Exit code 0 when it is, else 2."""
    with errors_explained():
        training = TrainingConfig(max_tokens=max_tokens, exclude=tuple(exclude or ()), rename=parse_names(rename))
        HRMConfig().check_tokens(max_tokens)
        from aegis import lifecycle

        folder = Workspace(workspace or DEFAULT_WORKSPACE)
        check_folder(folder.folder)
        with waiting(on_stderr=True) as progress:
            decisions = research_run.choose_data(data, folder, progress)
        show_source(decisions)

        heading("HRM TRAINING CHECK")
        show_rejected(decisions.rejected, len(decisions.decisions))
        with waiting() as progress:
            found = lifecycle.check_data(decisions, progress, training)
        problems = []
        try:
            lifecycle.check_owner(folder, decisions.teacher.name)
        except TeacherMismatchError as error:
            problems.append(str(error))
        say(f"Data: {decisions.source}, decided by {decisions.teacher.name}")
        say(f"{_mark(found.enough)} {counted(found.count, 'decision')} in {counted(found.episodes, 'episode')}")
        if not found.enough:
            problems.append(f"fewer than {MIN_TRAINING_DECISIONS} decisions: collect more with `aegis collect`")
        elif not found.full:
            say(f"⚠ fewer than {FULL_TRAINING_DECISIONS}: training works, and warns")
        if found.enough and found.episodes < 2:
            problems.append("a single episode: nothing can be held out")
        for name, number in found.actions.items():
            share = number / max(1, found.count)
            rare = number < RARE_ACTION_DECISIONS
            note = f" hardly to be learned from fewer than {RARE_ACTION_DECISIONS}" if rare else ""
            say(f"{'⚠' if rare else '✓'}   {name:<20} {number:>6} ({share:.1%}){note}")
        if found.count:
            duplicates = counted(found.duplicates, "duplicate")
            say(f"{_mark(found.duplicates == 0, '⚠')} {duplicates} (the same state and action)")
        say(f"{_mark(not decisions.rejected, '⚠')} {counted(len(decisions.rejected), 'record')} out of form")
        if found.count:
            say(f"{_mark(found.without_probabilities == 0, '⚠')} {found.without_probabilities} without probabilities")
        for line in found.reading.notes:
            say(f"✓ {line}")
        for line in found.reading.warnings:
            say(f"⚠ {line}")
        with waiting() as progress:
            progress("Loading PyTorch, and trying the model", 0, 0)
            check_model = _find_model_check(problems)
            model = check_model(decisions.decisions, decisions.actions) if decisions.decisions and check_model else None
        if model is not None:
            say(
                f"{_mark(model.vocabulary_fits)} vocabulary: {model.vocabulary_tokens:,} tokens;"
                f" the model's: {model.model_tokens:,}"
            )
            say(f"{_mark(model.parameters_fit)} parameters: {model.parameters:,}")
            say(f"✓ one forward pass: {model.forward_seconds * 1000:.0f} ms, loss {model.loss:.4f}")
            say(f"{_mark(not model.without_gradient)} one backward pass: {model.backward_seconds * 1000:.0f} ms")
            if not model.vocabulary_fits:
                problems.append("vocabulary and model differ in size: reinstall aegis-hrm")
            if not model.parameters_fit:
                problems.append("the model has not the parameters it should: reinstall aegis-hrm")
            problems += [f"no gradient reaches the {part}" for part in model.without_gradient]
        say("")
        if problems:
            for problem in problems:
                say(f"❌ {problem}")
            say("Training is NOT ready.")
            raise typer.Exit(BAD_INPUT)
        ready = "python train_hrm.py"
        if data is not None:
            ready = f"aegis train --data {data}"
        elif workspace is not None:
            ready = f"aegis train --workspace {workspace}"
        say(f"✅ Training is ready: {ready}")


def _find_model_check(problems: list[str]) -> Callable[[Sequence[Decision], ActionList], ModelCheck] | None:
    """Return what checks the model; None where its packages are missing, which is a problem then."""
    try:
        from aegis.training import check_model
    except MissingPackageError as error:
        problems.append(str(error))
        return None
    return check_model


def export(
    file: Annotated[Path, typer.Argument(help="Ending in .json, .jsonl, .json.gz or .jsonl.gz; with --onnx a folder.")],
    workspace: WorkspaceOption = DEFAULT_WORKSPACE,
    all_policies: Annotated[
        bool, typer.Option("--all", help="The HRM's decisions too, not just the teacher's.")
    ] = False,
    onnx: Annotated[
        bool, typer.Option("--onnx", help="Write the HRM that serves, as ONNX, to decide with no PyTorch.")
    ] = False,
) -> None:
    """Write a workspace's decisions and outcomes to a file, or its HRM to a folder."""
    if onnx:
        _export_model(file, Workspace(workspace))
        return
    with errors_explained():
        if file.is_dir():
            example = file / "decisions.jsonl.gz"
            fail(f"export {file}: is a folder: name a file in it, e.g. {example}; --onnx writes the HRM to a folder")
        check_writable(file, "export")
        from aegis import lifecycle
        from aegis.store import export_examples

        replaced = ", in place of the file that was there" if file.exists() else ""
        from aegis.research import RESEARCH_ACTIONS

        with lifecycle.open_store(lifecycle.existing(Workspace(workspace))) as store, waiting() as progress:
            card = lifecycle.describe_collection(store, RESEARCH_ACTIONS)
            teacher = store.teacher()
            policies = None if all_policies or teacher is None else [teacher.name]
            number = export_examples(store, file, policies=policies, metadata=card, progress=progress)
            others = 0 if policies is None else store.count() - number
        say(f"{_mark(number > 0, '⚠')} {counted(number, 'decision')} written to {clean_text(str(file))}{replaced}")
        if others:
            say(f"  left out: {counted(others, 'decision')} by other policies (--all writes them, too)")


def _export_model(folder: Path, workspace: Workspace) -> None:
    with errors_explained():
        require("torch", "exporting")
        if folder.exists() and (
            not folder.is_dir() or (any(folder.iterdir()) and not (folder / "check.json").exists())
        ):
            fail(f"{folder}: holds something else already: name a new folder")
        from aegis import lifecycle

        with lifecycle.open_store(lifecycle.existing(workspace)) as store, waiting() as progress:
            progress("Loading what an export needs", 0, 0)
            serving = lifecycle.find_serving(store, workspace)
            if serving is None:
                fail(f"{workspace.folder}: no HRM serves here yet: run `aegis train` first")
            from aegis.hrm import HRMPolicy, export_onnx

            examples = lifecycle.heldout_examples(store, research_run.shipped_heldout)
            report = export_onnx(HRMPolicy.load(serving.folder), folder.resolve(), examples, progress)
        say(f"✓ {serving.name} written to {folder}, checked on {report.states} held-out decisions")
        say(f"  eager      accuracy {report.accuracy:.2%}")
        for one in report.backends:
            say(
                f"  {one.backend:<10} accuracy {one.accuracy:.2%}, {one.differing} other actions, probabilities within"
                f" {one.max_difference:.0e}, alone and beside others within {one.company_difference:.0e},"
                f" {one.ms_p50:.2f} ms a decision"
            )


def import_(
    file: Annotated[Path, typer.Argument(help="JSON or JSONL, plain or .gz.")],
    workspace: WorkspaceOption = DEFAULT_WORKSPACE,
) -> None:
    """Add decisions from a file to a workspace; those already there are left as they are."""
    with errors_explained():
        from aegis import lifecycle
        from aegis.research import RESEARCH_ACTIONS
        from aegis.store import import_examples, read_examples

        check_folder(workspace)
        with waiting(on_stderr=True) as progress:
            found = read_examples(file, RESEARCH_ACTIONS, progress)
        if not found.examples:
            show_rejected(found.rejected, 0)
            fail(f"{file}: no decision to import: correct the records named above, or name another file")
        teacher = lifecycle.name_teacher(found, file)
        lifecycle.check_owner(Workspace(workspace), teacher.name)
        if new := describe_new(Workspace(workspace)):
            say(new)
        with lifecycle.open_store(Workspace(workspace)) as store, waiting() as progress:
            store.claim_teacher(teacher.name, teacher.parameters, teacher.source)
            report = import_examples(store, found, progress)
        show_rejected(report.rejected, report.added + report.already_there)
        others = f"{report.already_there} already there, {len(report.rejected)} refused"
        say(f"✓ {counted(report.added, 'decision')} added, {others}")
    if report.rejected and not report.added and not report.already_there:
        raise typer.Exit(BAD_INPUT)


def _mark(good: bool, otherwise: str = "❌") -> str:
    return "✓" if good else otherwise


def audit_data(
    data: Annotated[
        Path | None,
        typer.Option(
            help="JSON or JSONL file of decisions. Default: the workspace's own where it has 100 or more, else those"
            " AEGIS ships."
        ),
    ] = None,
    workspace: Annotated[
        Path | None,
        typer.Option(help=f"Folder of an agent: audit its teacher's decisions. Default: ./{DEFAULT_WORKSPACE}"),
    ] = None,
    split: Annotated[str, typer.Option(help="As in `aegis train`: auto, newest or seed.")] = _DEFAULTS.split,
    seed: Annotated[int, typer.Option(help="Of the split by seed.")] = _DEFAULTS.seed,
    near: Annotated[
        float, typer.Option(min=0.5, max=1.0, help="Share of word triples in common that makes states near duplicates.")
    ] = 0.85,
    as_json: JsonOption = False,
) -> None:
    """Look for states that are both trained on and held out, and say how much accuracy rests on them."""
    with errors_explained():
        require("sklearn", "the audit")
        if data is not None and workspace is not None:
            fail("--data and --workspace each name decisions: give one of them")
        training = TrainingConfig(split=split, seed=seed)
        from aegis import lifecycle

        with waiting(on_stderr=True) as progress:
            given = research_run.choose_data(data, Workspace(workspace or DEFAULT_WORKSPACE), progress)
        if not as_json:
            show_source(given)
        show_rejected(given.rejected, len(given.decisions))
        with waiting(on_stderr=as_json) as progress:
            progress("Loading what an audit needs", 0, 0)
            audit = lifecycle.check_leakage(given, training, near, progress)
        if as_json:
            say(json.dumps(audit.to_record(), indent=2))
            return
        when = "the newest" if audit.split == "newest" else f"drawn by seed {seed}"
        part = f", {audit.examined} of them looked at" if audit.examined < audit.heldout else ""
        rows = [
            ("Decisions trained on", f"{audit.train}"),
            ("Decisions held out", f"{audit.heldout} (whole episodes, {when}){part}"),
            ("Episodes on both sides", f"{audit.shared_episodes}"),
            ("Same state as in training", f"{audit.exact} (left out of every judgement)"),
            (
                f"At least {near:.0%} alike one in training",
                f"{audit.near} ({audit.near_share:.1%} of those looked at)",
            ),
            ("  of these with the same action", f"{audit.near_same_action}"),
            ("No older than the held-out ones", f"{audit.too_new} (not trained on)"),
            ("Accuracy on all held out", f"{audit.accuracy:.2%} (regression on words and pairs of words)"),
            ("  on near duplicates alone", _share(audit.accuracy_on_near)),
            ("  without near duplicates", _share(audit.accuracy_without_near)),
        ]
        say(f"Audit of {audit.source}")
        for label, value in rows:
            say(f"  {label:<36} {value}")
        if audit.near and audit.accuracy_without_near is not None:
            points = 100 * (audit.accuracy - audit.accuracy_without_near)
            effect = "rest on near duplicates" if points > 0 else "are lost by near duplicates"
            say(f"  {abs(points):.2f} points of accuracy {effect}")
        for twin in audit.twins:
            action = "same action" if twin.same_action else "another action"
            say(f"    {twin.resemblance:.0%} alike, {action}: {twin.heldout} and {twin.train}")


def _share(value: float | None) -> str:
    return "none" if value is None else f"{value:.2%}"
