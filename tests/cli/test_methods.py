"""``totohio methods`` lists what is served."""

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from totohio.cli import main

ADD = '''
from totohio import default_parameters, requires

@requires("a", "b")
@default_parameters({"b": 1})
def invoke(handler, parameters):
    """Add two numbers.

    And more about it.
    """
'''
RAW = '''
"""Sends a file."""
from totohio import asynchronous, error_redirect, jsonp, raw_response

@raw_response
@jsonp("callback")
@error_redirect({1000: "/sorry"})
@asynchronous
def invoke(handler, parameters):
    return b""
'''
CONTROL = '"""Rings the \\x07 bell."""\ndef invoke(handler, parameters): pass\n'


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder to put methods into; modules loaded from it are forgotten afterwards."""
    before = set(sys.modules)
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    (tmp_path / "listed").mkdir()
    (tmp_path / "listed" / "__init__.py").touch()
    (tmp_path / "settings.yaml").write_text("method_module: listed\n")
    yield tmp_path
    for name in set(sys.modules) - before:
        del sys.modules[name]


def test_methods_stand_with_their_first_line_and_decorators(project: Path, capsys: pytest.CaptureFixture[str]):
    (project / "listed" / "sub").mkdir()
    (project / "listed" / "sub" / "__init__.py").touch()
    (project / "listed" / "sub" / "add.py").write_text(ADD)
    (project / "listed" / "raw.py").write_text(RAW)
    (project / "listed" / "bell.py").write_text(CONTROL)
    (project / "listed" / "helper.py").write_text("VALUE = 1\n")
    (project / "listed" / "plain.py").write_text("def invoke(handler, parameters): pass\n")
    assert main(["methods", str(project / "settings.yaml")]) == 0
    assert capsys.readouterr().out.splitlines() == [
        r"bell     Rings the \x07 bell.",
        "plain",
        "raw      Sends a file.  [@raw_response @jsonp(callback) @error_redirect @asynchronous]",
        "sub.add  Add two numbers.  [@requires(a, b) @default_parameters(b)]",
    ]


@pytest.mark.parametrize(
    "name", ["authenticated", "authenticated_with_parameter", "optionally_authenticated", "anonymous_session"]
)
def test_session_decorators_have_the_names_that_they_are_imported_by(
    project: Path, capsys: pytest.CaptureFixture[str], name: str
):
    source = f"from totohio import {name}\n\n@{name}\ndef invoke(handler, parameters): pass\n"
    (project / "listed" / "mine.py").write_text(source)
    assert main(["methods", str(project / "settings.yaml")]) == 0
    assert capsys.readouterr().out == f"mine    [@{name}]\n"


def test_a_package_without_methods_says_so(project: Path, capsys: pytest.CaptureFixture[str]):
    assert main(["methods", str(project / "settings.yaml")]) == 0
    assert capsys.readouterr() == ("", "totohio: listed has no methods: no module in it has invoke\n")


def test_a_module_that_seems_to_lack_invoke_is_named_on_standard_error(
    project: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.chdir(project)
    (project / "listed" / "plain.py").write_text("def invoke(handler, parameters): pass\n")
    (project / "listed" / "prise.py").write_text("def invok(handler, parameters): pass\n")
    assert main(["methods", "settings.yaml"]) == 0
    assert capsys.readouterr() == ("plain\n", "totohio: not served: listed/prise.py has no function invoke\n")


def test_a_module_that_cannot_be_imported_is_one_line_and_the_traceback_of_its_own_lines(
    project: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.chdir(project)
    (project / "listed" / "broken.py").write_text("import a_module_that_is_not_there\n")
    assert main(["methods", "settings.yaml"]) == 1
    output, error = capsys.readouterr()
    assert output == ""
    text = "ModuleNotFoundError: No module named 'a_module_that_is_not_there'"
    assert error.splitlines() == [
        f"totohio: listed.broken cannot be imported: {text} (listed/broken.py:1)",
        "Traceback (most recent call last):",
        f'  File "{project}/listed/broken.py", line 1, in <module>',
        "    import a_module_that_is_not_there",
        text,
    ]


def test_a_package_that_does_not_exist_is_a_mistake_in_the_settings(project: Path, capsys: pytest.CaptureFixture[str]):
    assert main(["methods", str(project / "settings.yaml"), "--method-module", "nothing_here"]) == 2
    assert "nothing_here" in capsys.readouterr().err
