"""``totohio new`` writes a project that works."""

import subprocess
import sys
from pathlib import Path

import pytest

from totohio.app.configuring import load
from totohio.cli import main


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def tree(folder: str) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in Path(folder).rglob("*") if path.is_file())


def test_a_project_has_settings_methods_and_a_readme_with_its_name(capsys: pytest.CaptureFixture[str]):
    assert main(["new", "shop"]) == 0
    assert tree("shop") == ["README.md", "methods/__init__.py", "methods/add.py", "methods/hello.py", "settings.yaml"]
    assert Path("shop/README.md").read_text().startswith("# shop\n")
    assert not any("@NAME@" in path.read_text() for path in Path("shop").rglob("*") if path.is_file())
    output = capsys.readouterr().out
    assert "cd shop\n  totohio serve settings.yaml" in output
    assert "totohio call hello name=Ada" in output


def test_its_settings_are_right_and_its_modules_compile():
    main(["new", "shop"])
    assert load("shop/settings.yaml", environ={}).method_module == "methods"
    subprocess.run([sys.executable, "-m", "compileall", "-q", "shop"], check=True)


def test_a_folder_that_is_there_is_left_alone_unless_it_is_empty(capsys: pytest.CaptureFixture[str]):
    Path("empty").mkdir()
    assert main(["new", "empty"]) == 0
    capsys.readouterr()
    Path("empty/settings.yaml").write_text("mine")
    assert main(["new", "empty"]) == 1
    assert capsys.readouterr() == ("", "totohio: empty exists already and is left alone\n")
    assert Path("empty/settings.yaml").read_text() == "mine"
    Path("file").touch()
    assert main(["new", "file"]) == 1


def test_a_name_may_be_a_path_whose_last_part_names_the_project():
    assert main(["new", "deep/er/shop"]) == 0
    assert Path("deep/er/shop/README.md").read_text().startswith("# shop\n")


@pytest.mark.parametrize("name", ["", ".", "..", "a b", "1st", "@NAME@", "ü"])
def test_a_name_that_is_none_is_refused(name: str):
    assert main(["new", name]) == 2
    assert list(Path().iterdir()) == []
