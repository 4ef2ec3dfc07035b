"""Modules that were to be methods, as it seems, are noticed; those that serve others are not."""

import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from totohio.app import noticing
from totohio.app.configuring import load
from totohio.app.noticing import unserved
from totohio.core.importing import is_own
from totohio.core.registering import Registry

ROOT = str(Path(__file__).parents[2]) + os.sep
METHOD = "def invoke(handler, parameters):\n    return 1\n"

Notice = Callable[..., list[str]]


@pytest.fixture
def notice(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Notice]:
    """Write files, load the package ``noticed`` and give what is said of its modules."""
    before = set(sys.modules)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    monkeypatch.chdir(tmp_path)
    # Not to be read each time: totohio, which is installed elsewhere, and all these tests.
    monkeypatch.setattr(noticing, "is_own", lambda path: is_own(path) and not path.startswith(ROOT))

    def notice(files: dict[str, str], **options: str) -> list[str]:
        for name, source in files.items():
            path = tmp_path / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(source)
            for parent in Path(name).parents[:-1]:
                (tmp_path / parent / "__init__.py").touch()
        return unserved(Registry.load("noticed"), load(arguments=options, environ={}))

    yield notice
    for name in set(sys.modules) - before:
        if name.partition(".")[0] in ("noticed", "beside"):
            del sys.modules[name]


@pytest.mark.parametrize("source", ["", "def Invoke(h, p): pass\n", "invoke = 5\n", "import json\nLIST = [1]\n"])
def test_a_module_that_nothing_imports_and_that_has_no_invoke_is_named(notice: Notice, source: str) -> None:
    files = {"noticed/price.py": METHOD, "noticed/deep/prise.py": source}
    assert notice(files) == ["not served: noticed/deep/prise.py has no function invoke"]


@pytest.mark.parametrize(
    ("path", "source"),
    [
        ("noticed/price.py", "from noticed.deep import helper\n"),
        ("noticed/price.py", "from noticed.deep.helper import VALUE\n"),
        ("noticed/price.py", "import noticed.deep.helper\n"),
        ("noticed/price.py", "from .deep import helper\n"),
        ("noticed/price.py", "def late():\n    from .deep.helper import VALUE\n"),
        ("noticed/price.py", "import importlib\nmodule = importlib.import_module('noticed.deep.helper')\n"),
        ("noticed/price.py", "import importlib\nmodule = importlib.import_module('.deep.helper', 'noticed')\n"),
        ("noticed/deep/cost.py", "from . import helper\n"),
        ("noticed/deep/cost.py", "from ..deep.helper import VALUE\n"),
        ("noticed/zeta/__init__.py", "from ..deep import helper\n"),
        ("noticed/_private.py", "from noticed.deep import helper\n"),  # which nobody has loaded yet
        ("beside.py", "from noticed.deep.helper import VALUE\n"),
    ],
)
def test_one_that_another_imports_is_not(notice: Notice, path: str, source: str) -> None:
    files = {"noticed/deep/helper.py": "VALUE = 1\n", "noticed/price.py": METHOD, "noticed/user.py": METHOD}
    files[path] = source + METHOD
    if path == "beside.py":
        files["noticed/user.py"] = "import beside\n" + METHOD
    assert notice(files) == []


def test_one_that_only_itself_mentions_is(notice: Notice) -> None:
    source = "import logging\nlog = logging.getLogger('noticed.prise')\nimport noticed.prise\n"
    assert notice({"noticed/prise.py": source}) == ["not served: noticed/prise.py has no function invoke"]


def test_packages_tests_and_what_has_the_startup_function_are_not(notice: Notice) -> None:
    files = {
        "noticed/deep/price.py": METHOD,
        "noticed/apart/_helper.py": "",
        "noticed/test_price.py": "def test(): pass\n",
        "noticed/conftest.py": "",
        "noticed/begin.py": "def start(**arguments): pass\n",
    }
    # This module is a loaded one as well, so the name must not stand in it as a whole.
    assert notice(files, startup_function=".".join(["noticed", "begin", "start"])) == []
    assert notice(files) == ["not served: noticed/begin.py has no function invoke"]


def test_a_package_without_modules_could_be_a_method(notice: Notice) -> None:
    assert notice({"noticed/deep/__init__.py": ""}) == ["not served: noticed/deep/__init__.py has no function invoke"]


def test_a_file_that_nobody_can_read_as_python_does_no_harm(notice: Notice) -> None:
    files = {"noticed/_old.py": "x = (\n", "noticed/_older.py": "from ..... import helper\n", "noticed/prise.py": ""}
    assert notice(files) == ["not served: noticed/prise.py has no function invoke"]
