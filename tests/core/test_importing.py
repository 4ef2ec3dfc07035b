"""When what is to be served cannot be imported, the error names the module and the line, and shows only own code."""

import sys
import traceback
from collections.abc import Iterator
from pathlib import Path

import pytest

from totohio.base.errors import LoadError
from totohio.core.importing import load, own_files


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder on the module path, with the package ``loaded``; it is the working directory."""
    before = set(sys.modules)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "loaded").mkdir()
    (tmp_path / "loaded" / "__init__.py").touch()
    yield tmp_path
    for name in set(sys.modules) - before:
        if name.partition(".")[0] in ("loaded", "helping"):
            del sys.modules[name]


def fault(name: str = "loaded.price") -> LoadError:
    with pytest.raises(LoadError) as caught:
        load(name)
    return caught.value


def shown(error: LoadError) -> list[str]:
    """Give the lines of the traceback, without the marks below them that newer Pythons draw."""
    assert error.__cause__ is not None
    lines = "".join(traceback.format_exception(error.__cause__)).splitlines()
    return [line for line in lines if line.strip(" ~^")]


def test_what_a_module_raises_is_told_with_its_line(folder: Path) -> None:
    (folder / "loaded" / "price.py").write_text("A = 1\n\nB = A / 0\n")
    error = fault()
    assert str(error) == "loaded.price cannot be imported: ZeroDivisionError: division by zero (loaded/price.py:3)"
    path = str(folder / "loaded" / "price.py")
    assert (error.module, error.path, error.line) == ("loaded.price", path, 3)
    assert shown(error) == [
        "Traceback (most recent call last):",
        f'  File "{path}", line 3, in <module>',
        "    B = A / 0",
        "ZeroDivisionError: division by zero",
    ]


def test_outside_of_the_working_directory_the_whole_path_is_shown(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (folder / "loaded" / "price.py").write_text("1 / 0\n")
    (folder / "elsewhere").mkdir()
    monkeypatch.chdir(folder / "elsewhere")
    assert str(fault()).endswith(f"({folder}/loaded/price.py:1)")


def test_the_module_that_is_at_fault_is_named_and_not_the_one_that_imports_it(folder: Path) -> None:
    (folder / "loaded" / "price.py").write_text("from loaded import _list\n")
    (folder / "loaded" / "_list.py").write_text("def read():\n    return {}['tea']\n\nread()\n")
    error = fault()
    assert str(error) == "loaded._list cannot be imported: KeyError: 'tea' (loaded/_list.py:4)"
    assert [line for line in shown(error) if "File" in line] == [
        f'  File "{folder}/loaded/price.py", line 1, in <module>',
        f'  File "{folder}/loaded/_list.py", line 4, in <module>',
        f'  File "{folder}/loaded/_list.py", line 2, in read',
    ]


def test_lines_of_libraries_and_of_ours_are_left_out_also_where_one_error_led_to_another(folder: Path) -> None:
    source = (
        "import json\n"
        "import totohio\n"
        "try:\n"
        "    json.loads('?')\n"
        "except ValueError:\n"
        "    @totohio.default_parameters(5)\n"
        "    def invoke(handler, parameters): pass\n"
    )
    (folder / "loaded" / "price.py").write_text(source)
    files = {line.split('"')[1] for line in shown(fault()) if line.startswith("  File ")}
    assert files == {str(folder / "loaded" / "price.py")}


@pytest.mark.parametrize(("source", "line"), [("x = 1\ny = (\n", 2), ("def invoke(:\n", 1), ("if True:\nx = 1\n", 2)])
def test_a_syntax_error_is_told_with_its_line(folder: Path, source: str, line: int) -> None:
    (folder / "loaded" / "price.py").write_text(source)
    error = fault()
    assert str(error).startswith("loaded.price cannot be imported: ")
    assert "Error: " in str(error)
    assert str(error).endswith(f" (loaded/price.py:{line})")
    assert shown(error)[0] == f'  File "{folder}/loaded/price.py", line {line}'


@pytest.mark.parametrize(("path", "name"), [("loaded/_list.py", "loaded._list"), ("helping/__init__.py", "helping")])
def test_a_syntax_error_is_told_of_the_module_that_has_it(folder: Path, path: str, name: str) -> None:
    (folder / "loaded" / "price.py").write_text(f"import {name}\n")
    (folder / path).parent.mkdir(exist_ok=True)
    (folder / path).write_text("x =\n")
    assert str(fault()) == f"{name} cannot be imported: SyntaxError: invalid syntax ({path}:1)"


def test_text_that_a_module_fails_to_compile_itself_is_not_taken_for_its_own(folder: Path) -> None:
    (folder / "loaded" / "price.py").write_text("x = 1\ncompile('y =', '<text>', 'exec')\n")
    assert str(fault()).endswith(" (loaded/price.py:2)")


def test_a_missing_import_is_told_with_the_line_that_asks_for_it(folder: Path) -> None:
    (folder / "loaded" / "price.py").write_text("import nothing_of_this_name\n")
    text = "loaded.price cannot be imported: ModuleNotFoundError: No module named 'nothing_of_this_name'"
    assert str(fault()) == f"{text} (loaded/price.py:1)"


def test_a_module_that_does_not_exist_is_another_error() -> None:
    for name in ("no_such_module", "no_such_package.module"):
        with pytest.raises(ModuleNotFoundError):
            load(name)


def test_a_module_that_wants_to_end_the_program_is_told_of_like_others(folder: Path) -> None:
    (folder / "loaded" / "price.py").write_text("import sys\nsys.exit('no\\nkey')\n")
    assert str(fault()) == r"loaded.price cannot be imported: SystemExit: no\nkey (loaded/price.py:2)"


def test_an_error_without_a_text_is_its_name(folder: Path) -> None:
    (folder / "loaded" / "price.py").write_text("raise ValueError\n")
    assert str(fault()) == "loaded.price cannot be imported: ValueError (loaded/price.py:1)"


def test_the_files_that_a_failure_went_through_are_known(folder: Path) -> None:
    (folder / "loaded" / "price.py").write_text("import helping\n")
    (folder / "helping.py").write_text("x =\n")
    error = fault()
    assert error.__cause__ is not None
    assert set(own_files(error.__cause__)) == {str(folder / "helping.py"), str(folder / "loaded" / "price.py")}
