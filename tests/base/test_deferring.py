"""A package whose names are imported when they are first used."""

import subprocess
import sys
from types import ModuleType

import pytest

from totohio.base.deferring import deferred


@pytest.fixture
def package() -> ModuleType:
    found = ModuleType("shop")
    find, names = deferred(vars(found), {"colorsys": "rgb_to_hsv hsv_to_rgb", "fractions": "Fraction"})
    vars(found).update(__getattr__=find, __dir__=names)
    return found


def test_a_name_is_that_of_its_home_and_stays(package: ModuleType) -> None:
    import colorsys

    assert "hsv_to_rgb" not in vars(package)
    assert package.hsv_to_rgb is colorsys.hsv_to_rgb is vars(package)["hsv_to_rgb"]
    assert "rgb_to_hsv" not in vars(package)


def test_a_name_that_is_none_is_an_error_as_of_any_module(package: ModuleType) -> None:
    with pytest.raises(AttributeError, match=r"^module 'shop' has no attribute 'Fractoin'$"):
        package.Fractoin  # noqa: B018
    assert not hasattr(package, "hsv")


def test_names_that_are_not_imported_yet_are_listed(package: ModuleType) -> None:
    assert {"Fraction", "hsv_to_rgb", "rgb_to_hsv", "__name__"} <= set(dir(package))


LIGHT = {  # what imports little, and what it does without
    "totohio": "hio msgspec greenlet yaml",
    "totohio.remote, totohio.sim": "hio msgspec greenlet yaml",
    "totohio.cli.call, totohio.cli.new, totohio.cli.sim": "hio falcon msgspec greenlet yaml redis",
    "totohio.cli.serve": "falcon msgspec greenlet yaml redis",  # which may only start others
}


@pytest.mark.parametrize("modules", LIGHT)
def test_who_needs_little_does_not_wait_for_the_server(modules: str) -> None:
    code = f"import sys, {modules}\nprint(*(name for name in {LIGHT[modules].split()} if name in sys.modules))"
    command = [sys.executable, "-c", code]
    assert subprocess.run(command, capture_output=True, text=True, check=True).stdout == "\n"


def test_lent_objects_need_no_import_of_their_own() -> None:
    command = [sys.executable, "-c", "import totohio; print(totohio.remote.connect.__name__)"]
    assert subprocess.run(command, capture_output=True, text=True, check=True).stdout == "connect\n"
