"""The lifecycle's names are found in its rooms, which are read only when they are needed."""

from __future__ import annotations

import subprocess
import sys

import pytest

from aegis import lifecycle, promotion


@pytest.mark.parametrize("package", [lifecycle, promotion])
def test_every_public_name_is_there_and_no_other(package):
    for name in package.__all__:
        assert getattr(package, name) is not None
    with pytest.raises(AttributeError, match="no attribute 'nonsense'"):
        _ = package.nonsense


def test_where_a_workspace_stands_is_read_without_torch_or_scikit_learn():
    code = (
        "import sys\nfrom aegis.lifecycle import read_standing\nimport aegis.cli.display.block\n"
        "assert not {'torch', 'sklearn', 'scipy'} & set(sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
