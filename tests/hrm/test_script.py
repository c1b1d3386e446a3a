"""Functions that run as TorchScript."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from aegis.hrm import fused
from aegis.hrm.script import script


def double(x: Tensor) -> Tensor:
    return x * 2


@pytest.mark.filterwarnings("ignore:.*torch.jit.script.*:DeprecationWarning")
@pytest.mark.parametrize("function", [fused._forward, fused._backward, fused._add_up])
def test_each_function_that_runs_as_torchscript_compiles(function):
    assert isinstance(torch.jit.script(function.__wrapped__), torch.jit.ScriptFunction)


def test_a_scripted_function_answers_as_the_function_does():
    assert script(double)(torch.ones(2)).tolist() == [2.0, 2.0]


@pytest.mark.parametrize("error", [RuntimeError, AttributeError])
def test_where_torch_has_no_torchscript_the_function_itself_runs(monkeypatch, error):
    def refuse(function):
        raise error("no TorchScript")

    monkeypatch.setattr(torch.jit, "script", refuse)
    assert script(double)(torch.ones(2)).tolist() == [2.0, 2.0]
