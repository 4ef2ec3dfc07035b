"""Exceptions that cross: they are taken for no class but their own, and say what they said."""

import os
from collections.abc import Callable
from typing import Any

import pytest

from tests.remote.support import Site
from totohio.remote import DisconnectedError, Remote, RemoteError
from totohio.remote.raising import describe_error, made_error


class TimeoutError(Exception):
    """A library's, that has the name of Python's."""


class LendingError(Exception):
    """And one that has the name of ours."""


class OddError(Exception):
    """And one that has the name of one that is registered."""


def crossed(error: BaseException, *, here: Any = (), there: Any = ()) -> BaseException:
    """Give an exception as it arrives."""
    ours, theirs = ({kind.__name__: kind for kind in each} for each in (here, there))
    return made_error(describe_error(error, ours), theirs)


@pytest.mark.parametrize("kind", [TimeoutError, LendingError])
def test_a_class_is_not_taken_for_another_of_its_name(kind: type[Exception]) -> None:
    error = crossed(kind("late"))
    assert isinstance(error, RemoteError)
    assert not isinstance(error, OSError)
    assert error.name == f"{__name__}.{kind.__name__}"
    assert str(error) == f"{__name__}.{kind.__name__}: late"
    assert type(crossed(kind("late"), here=[kind], there=[kind])) is kind


def test_pythons_own_is_itself_beside_one_that_is_registered() -> None:
    import builtins

    error = crossed(builtins.TimeoutError("late"), here=[TimeoutError], there=[TimeoutError])
    assert type(error) is builtins.TimeoutError


def test_one_of_the_name_of_one_that_is_registered_is_another(remote: Remote, site: Site) -> None:
    error = crossed(OddError("x"), here=[site.module.OddError], there=[site.module.OddError])
    assert type(error) is RemoteError
    assert error.name == f"{__name__}.OddError"


PATHS: list[Callable[[], Any]] = [
    lambda: os.open("/nowhere/at all", os.O_RDONLY),
    lambda: os.open(b"/nowhere/at all", os.O_RDONLY),
    lambda: os.rename("/nowhere/one", "/nowhere/other"),
    lambda: os.listdir(os.path.devnull),
]


@pytest.mark.parametrize("fail", PATHS)
def test_an_error_of_the_system_says_where(fail: Callable[[], Any]) -> None:
    with pytest.raises(OSError, match="/") as raised:
        fail()
    error = crossed(raised.value)
    assert isinstance(error, OSError)
    for name in ("errno", "strerror", "filename", "filename2"):
        assert getattr(error, name) == getattr(raised.value, name)
    assert (type(error), str(error)) == (type(raised.value), str(raised.value))


def test_an_error_of_the_system_without_a_path_is_as_it_was() -> None:
    for raised in (OSError(5, "no luck"), OSError("no luck"), OSError(), ConnectionResetError(104, "reset")):
        error = crossed(raised)
        assert (type(error), str(error), error.args) == (type(raised), str(raised), raised.args)


class OwnError(OSError):
    """Makes its arguments itself."""

    def __init__(self, path: str) -> None:
        super().__init__(2, "not there", path)


class PathError(FileNotFoundError):
    """Has nothing of its own."""


def test_an_error_of_the_system_that_is_registered_says_where() -> None:
    error = crossed(PathError(2, "not there", "/x"), here=[PathError], there=[PathError])
    assert (type(error), str(error)) == (PathError, "[Errno 2] not there: '/x'")


def test_an_error_that_makes_its_arguments_itself_is_as_it_was() -> None:
    error = crossed(OwnError("/x"), here=[OwnError], there=[OwnError])
    assert str(error) == "OwnError: [Errno 2] not there: '/x'"


def test_that_the_connection_is_over_arrives_as_such() -> None:
    error = crossed(DisconnectedError("the server goes down"))
    assert type(error) is DisconnectedError
    assert str(error) == "the server goes down"


def test_callbacks_raise_them_through_the_server(remote: Remote) -> None:
    with pytest.raises(FileNotFoundError, match="No such file or directory: '/nowhere/at all'"):
        remote.apply(lambda: os.open("/nowhere/at all", os.O_RDONLY))
    with pytest.raises(RemoteError, match=r"tests\.remote\.test_raising\.TimeoutError: late$"):
        remote.apply(raising)


def raising() -> None:
    """Raise the library's."""
    raise TimeoutError("late")
