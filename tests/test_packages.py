"""A missing package is named with the extra that installs it; names are imported on first access."""

from __future__ import annotations

import importlib
import sys
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from aegis.cli.display.output import errors_explained
from aegis.errors import ConfigError, MissingPackageError
from aegis.packages import EXTRAS, PRODUCT, explain, imports_explained, install, on_demand, require

PROJECT = tomllib.loads((Path(__file__).parents[1] / "pyproject.toml").read_text("utf-8"))["project"]
DISTRIBUTION = {"sklearn": "scikit-learn", "opentelemetry": "opentelemetry-exporter-otlp-proto-http"}
"""Of the modules whose name differs from the package's"""
FOR_EXAMPLES = {"babyai", "langgraph", "pydantic-ai", "smolagents", "openai-agents", "adapters", "suite"}
"""Extras that no module of AEGIS imports: for examples/ and benchmarks"""


def brought_by(extra: str) -> set[str]:
    """Return the distributions that an extra of pyproject.toml lists itself."""
    requirements = [Requirement(line) for line in PROJECT["optional-dependencies"][extra]]
    return {str(canonicalize_name(one.name)) for one in requirements} - {PRODUCT}


def test_each_module_is_in_the_extras_that_are_advised_and_not_in_the_core():
    core = {canonicalize_name(Requirement(line).name) for line in PROJECT["dependencies"]}
    for module, (_, extras) in EXTRAS.items():
        distribution = canonicalize_name(DISTRIBUTION.get(module, module))
        assert distribution not in core
        ours = PROJECT["optional-dependencies"].keys() - FOR_EXAMPLES
        assert set(extras) == {name for name in ours if distribution in brought_by(name)}


def test_each_distribution_of_an_extra_is_explained():
    explained = {canonicalize_name(DISTRIBUTION.get(module, module)) for module in EXTRAS}
    for extra in PROJECT["optional-dependencies"].keys() - {"dev", "docs", "all"} - FOR_EXAMPLES:
        assert brought_by(extra) <= explained


def test_the_extra_all_names_every_other_extra():
    (everything,) = [Requirement(line) for line in PROJECT["optional-dependencies"]["all"]]
    assert everything.extras == PROJECT["optional-dependencies"].keys() - {"all", "dev", "docs"} - FOR_EXAMPLES


def test_a_missing_package_is_named_with_the_command_that_installs_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "torch", None)
    with pytest.raises(MissingPackageError) as raised, imports_explained("training"):
        import torch  # noqa: F401
    assert str(raised.value) == "training needs PyTorch: pip install 'aegis-hrm[train]'"
    assert isinstance(raised.value, ConfigError)


def test_if_several_extras_install_a_package_the_requested_extra_is_advised():
    missing = ModuleNotFoundError(name="torch.nn")
    assert str(explain(missing, "x", "teachers")) == f"x needs PyTorch: {install('teachers')}"
    assert str(explain(missing, "x", "offline")) == f"x needs PyTorch: {install('train')}"


def test_an_error_that_no_extra_can_fix_is_passed_on():
    with pytest.raises(ModuleNotFoundError, match="nothing_of_the_kind"), imports_explained("training"):
        importlib.import_module("nothing_of_the_kind")
    with pytest.raises(ModuleNotFoundError, match="nothing_of_the_kind"), errors_explained():
        importlib.import_module("nothing_of_the_kind")


def test_an_installed_package_raises_nothing(monkeypatch):
    require("sklearn", "the audit")
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(MissingPackageError, match="the audit needs scikit-learn"):
        require("sklearn", "the audit")


def test_a_name_is_imported_on_first_access():
    find = on_demand("json", {"decoder": ("JSONDecoder",), "absent": ("Nothing",)}, "reading")
    assert find("JSONDecoder").__module__ == "json.decoder"
    with pytest.raises(AttributeError, match="module 'json' has no attribute 'nonsense'"):
        find("nonsense")
    with pytest.raises(ModuleNotFoundError):  # a fault of the package itself, which no extra can fix
        find("Nothing")
