"""The package as users get it: types, version, and the example of the README as it stands there."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import WORKSPACE

import dmue_edge

PACKAGE = Path(dmue_edge.__file__).parent


def test_what_is_tested_is_the_installed_wheel() -> None:
    assert Path(sys.prefix) in PACKAGE.parents
    assert (PACKAGE / "py.typed").is_file()
    version = re.search(r'^version = "(.+)"', (WORKSPACE / "Cargo.toml").read_text(), re.MULTILINE)
    assert version and dmue_edge.__version__ == version[1]


def test_types_hold_in_the_package_and_in_these_tests() -> None:
    mypy = ["-m", "mypy", "--strict", "--cache-dir", os.devnull]
    run(*mypy, "-p", "dmue_edge")
    run(*mypy, str(Path(__file__).parent))


def test_the_stubs_are_those_of_the_module() -> None:
    run("-m", "mypy.stubtest", "dmue_edge")


@pytest.mark.parametrize("page", ["README.md", "bindings/python/README.md"])
def test_the_readmes_examples_run_as_written(page: str) -> None:
    examples = re.findall(r"```python\n(.*?)```", (WORKSPACE / page).read_text(), re.DOTALL)
    assert examples, "no example"
    for example in examples:
        assert "happiness" in run("-c", example)


def test_the_module_shows_its_example() -> None:
    run("-c", "import doctest, dmue_edge; assert doctest.testmod(dmue_edge) == (0, 3)")


def run(*arguments: str) -> str:
    done = subprocess.run(
        [sys.executable, *arguments], cwd=WORKSPACE, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout
