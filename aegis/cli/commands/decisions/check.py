"""`aegis check` and `test_hrm_training.py`: whether data and model are ready for a training."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

import typer

from aegis.cli.admission import check_folder, find_place
from aegis.cli.display.output import BAD_INPUT, errors_explained, heading, mark, say, show_rejected, show_source
from aegis.cli.display.progress import waiting
from aegis.cli.options import (
    DataOption,
    ExcludeOption,
    OwnWorkspaceOption,
    PointOption,
    RenameOption,
    StateTokensOption,
    parse_names,
)
from aegis.config import (
    FULL_TRAINING_DECISIONS,
    MIN_TRAINING_DECISIONS,
    RARE_ACTION_DECISIONS,
    HRMConfig,
    TrainingConfig,
)
from aegis.errors import MissingPackageError, TeacherMismatchError
from aegis.lifecycle.training.rare import go_on
from aegis.rendering import counted
from aegis.research import run as research_run
from aegis.types import list_names

if TYPE_CHECKING:
    from aegis.training import ModelCheck
    from aegis.types import ActionList, Decision

_DEFAULTS = TrainingConfig()


def check(
    data: DataOption = None,
    workspace: OwnWorkspaceOption = None,
    point: PointOption = None,
    max_tokens: StateTokensOption = _DEFAULTS.max_tokens,
    exclude: ExcludeOption = None,
    rename: RenameOption = None,
) -> None:
    """Check data and model, and say whether training is ready. Exit code 0 when it is, else 2."""
    with errors_explained():
        training = TrainingConfig(max_tokens=max_tokens, exclude=tuple(exclude or ()), rename=parse_names(rename))
        HRMConfig().check_tokens(max_tokens)
        from aegis import lifecycle

        folder = find_place(workspace, point)
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
        say(f"{mark(found.enough)} {counted(found.count, 'decision')} in {counted(found.episodes, 'episode')}")
        if not found.enough:
            missing = MIN_TRAINING_DECISIONS - found.count
            told = bool(decisions.rejected)
            more = lifecycle.describe_more_of(decisions, missing) if told else lifecycle.describe_more(folder)
            problems.append(f"fewer than {MIN_TRAINING_DECISIONS} decisions: {more}")
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
            say(f"{mark(found.duplicates == 0, '⚠')} {duplicates} (the same state and action)")
        say(f"{mark(not decisions.rejected, '⚠')} {counted(len(decisions.rejected), 'record')} out of form")
        if found.count:
            say(f"{mark(found.without_probabilities == 0, '⚠')} {found.without_probabilities} without probabilities")
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
                f"{mark(model.vocabulary_fits)} vocabulary: {model.vocabulary_tokens:,} tokens;"
                f" the model's: {model.model_tokens:,}"
            )
            say(f"{mark(model.parameters_fit)} parameters: {model.parameters:,}")
            say(f"✓ one forward pass: {model.forward_seconds * 1000:.0f} ms, loss {model.loss:.4f}")
            say(f"{mark(not model.without_gradient)} one backward pass: {model.backward_seconds * 1000:.0f} ms")
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
        if point is not None:
            ready = f"aegis train{f' --data {data}' if data else ''}{folder.options}"
        elif data is None and workspace is not None:
            ready = f"aegis train --workspace {workspace}"
        say(f"✅ Training is ready: {ready}")
        _say_rare(found.actions)


def _say_rare(actions: Mapping[str, int]) -> None:
    """Say which actions the HRM will hardly learn, or not at all."""
    if few := [name for name, number in actions.items() if 0 < number < RARE_ACTION_DECISIONS]:
        say(f"  The HRM will hardly learn {list_names(few)}: collect more of these first, if they matter")
    if never := [name for name, number in actions.items() if not number]:
        say(f"  The teacher never took {list_names(never)}: {go_on(never)}")


def _find_model_check(problems: list[str]) -> Callable[[Sequence[Decision], ActionList], ModelCheck] | None:
    """Return what checks the model; None where its packages are missing, which is a problem then."""
    try:
        from aegis.training import check_model
    except MissingPackageError as error:
        problems.append(str(error))
        return None
    return check_model
