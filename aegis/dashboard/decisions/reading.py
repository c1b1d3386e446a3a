"""A state as an HRM reads it: which fields were left out or renamed, and what was cut."""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from typing import Any

from aegis.errors import ConfigError, DataError
from aegis.lifecycle.opening import open_store
from aegis.promotion import ModelRegistry
from aegis.serving.point import UnknownDecisionError
from aegis.workspace import LINEAR, MIXED, MODEL_PREFIXES, Workspace, version_kind


def read_as_model(workspace: Workspace, id: str) -> dict[str, Any] | None:
    """Return what the HRM read of a decision's state, or would have read; None where there is no HRM.

    It is the version that decided or, for a decision of the teacher, the one that serves or proves itself now. Raises
    `UnknownDecisionError`.
    """
    from aegis.hrm import StateCodec  # the tokeniser with it
    from aegis.hrm.vocabulary import load_vocabulary

    with open_store(workspace) as store:
        example = store.get(id)
        if example is None:
            raise UnknownDecisionError(f"no decision {id[:100]!r} is recorded here: look for it in the list")
        registry = ModelRegistry(store, workspace)
        version = registry.serving() or registry.candidate()
    decision = example.decision
    name = decision.policy if decision.policy.startswith(MODEL_PREFIXES) else version.name if version else None
    if name is None:
        return None
    try:
        codec = StateCodec.from_document(json.loads((workspace.models / name / "policy.json").read_bytes()))
        if version_kind(name) == LINEAR:
            codec = replace(codec, max_tokens=sys.maxsize)  # it reads every state whole
        read = codec.read(decision.state)
    except (
        OSError,
        ValueError,
        ConfigError,
        DataError,
        KeyError,
        TypeError,
    ):  # its files are gone or of another version
        return None
    return {
        "model": name,
        "decided": name == decision.policy,
        "text": load_vocabulary().decode(read.ids[1:]),
        "tokens": read.tokens,
        "kept": len(read.ids),
        "left_out": list(read.left_out),
        "renamed": dict(codec.rename),
        "whole_beside": version_kind(name) == MIXED,  # what is cut is cut for the HRM: the regression reads it
    }
