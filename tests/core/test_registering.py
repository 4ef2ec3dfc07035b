"""Which names can be called: the registry of a method package."""

import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from totohio.base.errors import LoadError, SettingsError
from totohio.core.registering import Registry

INVOKE = "def invoke(handler, parameters):\n    return {name!r}\n"

Load = Callable[..., Registry]


@pytest.fixture
def load(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Load]:
    """Write a package of the given files and load it: ``load({"a/b.py": source})``."""
    before = set(sys.modules)
    monkeypatch.syspath_prepend(tmp_path)

    def load(files: dict[str, str], name: str = "served") -> Registry:
        for path, source in files.items():
            file = tmp_path / name / path
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(source)
            for parent in Path(path).parents:
                (tmp_path / name / parent / "__init__.py").touch()
        return Registry.load(name)

    yield load
    for module in set(sys.modules) - before:
        if module.split(".")[0] in ("served", "helping"):
            del sys.modules[module]


def method(name: str) -> str:
    return INVOKE.format(name=name)


def names(registry: Registry) -> list[str]:
    return [found.name for found in registry.walk()]


def test_every_own_module_with_invoke_is_a_method(load: Load) -> None:
    registry = load({"a.py": method("a"), "b/c.py": method("b.c"), "b/d/e.py": method("b.d.e"), "plain.py": "x = 1\n"})
    assert names(registry) == ["a", "b.c", "b.d.e"]
    for name in names(registry):
        found = registry.find(name)
        assert found is not None
        assert found.invoke(None, {}) == name


def test_a_package_may_be_a_method_and_hold_others(load: Load) -> None:
    registry = load({"a/__init__.py": method("a"), "a/b.py": method("a.b")})
    assert names(registry) == ["a", "a.b"]


def test_packages_need_not_import_their_modules(load: Load) -> None:
    assert names(load({"a/b.py": method("a.b"), "__init__.py": ""})) == ["a.b"]


def test_the_package_itself_is_no_method(load: Load) -> None:
    registry = load({"__init__.py": method("root"), "a.py": method("a")})
    assert names(registry) == ["a"]
    assert registry.find("") is None


@pytest.mark.parametrize(
    "name",
    [
        "", ".", "a.", ".a", "a..b", "nope", "a.invoke", "a.__name__", "__init__", "a.os", "a.os.path", "b.json", "os",
        "_private", "b._hidden", "b.__main", "a.helper", "alias", "b", "A", "klass", "b.function", "a.b", "invoke",
        "served.a",
    ],
)  # fmt: skip
def test_imports_private_names_and_attributes_cannot_be_called(load: Load, name: str) -> None:
    registry = load(
        {
            "__init__.py": "import os\nfrom . import a\nalias = a\nclass klass:\n    invoke = staticmethod(print)\n",
            "a.py": "import os\nfrom . import helper\n" + method("a"),
            "helper.py": "x = 1\n",
            "_private.py": method("private"),
            "b/__init__.py": "import json\nfrom .. import a\ndef function(): pass\nfunction.invoke = print\n",
            "b/_hidden.py": method("hidden"),
            "b/__main.py": method("main"),
            "b/c.py": method("b.c"),
        }
    )
    assert registry.find(name) is None
    assert names(registry) == ["a", "b.c"]


def test_a_name_that_a_package_gives_to_something_else_hides_no_method(load: Load) -> None:
    registry = load({"b/__init__.py": "from .login import invoke as login\n", "b/login.py": method("b.login")})
    assert names(registry) == ["b.login"]


def test_private_modules_are_not_even_imported(load: Load) -> None:
    assert names(load({"_private.py": "1 / 0\n", "_b/__init__.py": "1 / 0\n", "a.py": method("a")})) == ["a"]


def test_a_module_of_another_package_is_served_under_no_name(load: Load) -> None:
    load({"evil.py": method("evil")}, "helping")
    registry = load({"__init__.py": "from helping import evil\nimport helping\n", "a.py": "from helping import evil\n"})
    assert names(registry) == []


@pytest.mark.parametrize("invoke", ["invoke = 5\n", "invoke = None\n", "def Invoke(h, p): pass\n", ""])
def test_a_module_whose_invoke_cannot_be_called_is_no_method(load: Load, invoke: str) -> None:
    assert names(load({"a.py": invoke})) == []


def test_a_package_that_does_not_exist_is_named(load: Load) -> None:
    for name in ("no_such_package", "no_such_package.deeper"):
        with pytest.raises(SettingsError, match=r"method_module: .*no_such_package"):
            Registry.load(name)


def test_a_module_that_cannot_be_imported_is_an_error_at_once(load: Load) -> None:
    with pytest.raises(LoadError, match=r"served\.a cannot be imported: .*no_such_dependency"):
        load({"a.py": "import no_such_dependency\n"})
    with pytest.raises(LoadError, match=r"helping cannot be imported: ZeroDivisionError"):
        load({"__init__.py": "1 / 0\n"}, "helping")


def test_parameters_of_a_type_that_is_not_known_are_an_error_that_names_the_method(load: Load) -> None:
    with pytest.raises(SettingsError, match=r"the method a\.b"):
        load({"a/b.py": "def invoke(handler, parameters: 'Missing'):\n    pass\n"})


def test_marks_and_guards_are_known_before_the_first_call(load: Load) -> None:
    decorated = "from totohio import asynchronous, requires\n@asynchronous\n@requires('x')\n" + method("decorated")
    registry = load(
        {
            "plain.py": method("plain"),
            "decorated.py": decorated,
            "typed.py": "def invoke(handler, parameters: dict[str, int]):\n    pass\n",
            "closing.py": method("closing") + "def on_connection_close(handler):\n    pass\n",
        }
    )
    plain, marked, typed, closing = (registry.find(name) for name in ("plain", "decorated", "typed", "closing"))
    assert plain is not None and marked is not None and typed is not None and closing is not None  # noqa: PT018
    assert [found.plain for found in (plain, marked, typed, closing)] == [True, False, False, False]
    assert marked.marks.asynchronous
    assert marked.guard is not None
    assert typed.guard is not None
    assert closing.on_connection_close is not None


def test_the_documentation_of_a_method_is_that_of_its_function_or_its_module(load: Load) -> None:
    registry = load(
        {
            "a.py": '"""The module."""\ndef invoke(handler, parameters):\n    """The function.\n\n    More.\n    """\n',
            "b.py": '"""The module."""\n' + method("b"),
            "c.py": method("c"),
        }
    )
    assert [found.doc for found in registry.walk()] == ["The function.\n\nMore.", "The module.", ""]


def test_a_single_module_can_be_loaded_and_serves_nothing_by_itself(load: Load, tmp_path: Path) -> None:
    (tmp_path / "helping.py").write_text(method("helping"))
    assert names(Registry.load("helping")) == []
