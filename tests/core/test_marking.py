"""Decorators say something of a method and leave it as it is."""

import functools
from typing import Any

import pytest

from totohio.base.errors import TotoException
from totohio.core.marking import (
    Defaults,
    Marks,
    Redirects,
    Requires,
    anonymous_session,
    asynchronous,
    authenticated,
    authenticated_with_parameter,
    default_parameters,
    error_redirect,
    jsonp,
    marks,
    optionally_authenticated,
    raw_response,
    requires,
)


def invoke(handler: Any, parameters: Any) -> Any:
    return parameters


def fresh() -> Any:
    def method(handler: Any, parameters: Any) -> Any:
        return parameters

    return method


def test_a_function_without_decorators_has_empty_marks() -> None:
    assert marks(invoke) == Marks()
    assert marks(len) == Marks()


def test_decorated_functions_are_the_same_functions() -> None:
    method = fresh()
    for decorator in (
        requires("a"),
        default_parameters({}),
        raw_response,
        jsonp,
        jsonp("cb"),
        error_redirect({}),
        asynchronous,
    ):
        assert decorator(method) is method
    assert method(None, {"b": 1}) == {"b": 1}


def test_the_outermost_step_comes_first() -> None:
    outside = requires("a")(default_parameters({"a": 1})(fresh()))
    inside = default_parameters({"a": 1})(requires("a")(fresh()))
    assert marks(outside).steps == (Requires(("a",)), Defaults({"a": 1}))
    assert marks(inside).steps == (Defaults({"a": 1}), Requires(("a",)))


def test_apart_from_steps_the_order_does_not_matter() -> None:
    one = asynchronous(raw_response(jsonp(error_redirect({}, "/")(requires("a")(fresh())))))
    other = requires("a")(error_redirect({}, "/")(jsonp(raw_response(asynchronous(fresh())))))
    assert marks(one) == marks(other)
    assert marks(one).asynchronous
    assert marks(one).raw


def test_jsonp_works_bare_with_brackets_and_with_a_name() -> None:
    assert marks(fresh()).jsonp is None
    assert marks(jsonp(fresh())).jsonp == "jsonp"
    assert marks(jsonp()(fresh())).jsonp == "jsonp"
    assert marks(jsonp("callback")(fresh())).jsonp == "callback"


def test_the_session_marks_tell_apart_how_a_call_wants_its_session() -> None:
    decorators = (authenticated, authenticated_with_parameter, optionally_authenticated, anonymous_session)
    wants = [marks(decorator(fresh())).session for decorator in decorators]
    assert None not in wants
    assert len(set(wants)) == len(decorators)


def test_a_wrapper_can_be_marked_without_marking_what_it_wraps() -> None:
    inner = requires("a")(fresh())

    @raw_response
    @functools.wraps(inner)
    def outer(handler: Any, parameters: Any) -> Any:
        return inner(handler, parameters)

    assert marks(outer) == Marks(steps=(Requires(("a",)),), raw=True)
    assert not marks(inner).raw


def test_forgotten_arguments_are_noticed_when_the_module_is_imported() -> None:
    with pytest.raises(TypeError, match="names of parameters"):
        requires(invoke)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="name of a parameter"):
        jsonp(5)  # type: ignore[call-overload]


def test_changing_the_defaults_afterwards_changes_nothing() -> None:
    values = {"a": 1}
    method = default_parameters(values)(fresh())
    values["a"] = 2
    assert marks(method).steps == (Defaults({"a": 1}),)


class Failure(Exception):
    """An error as web frameworks have them."""

    status_code = 404


class Both(TotoException):
    """An error with a code and a status."""

    status_code = 404


@pytest.mark.parametrize(
    ("error", "url"),
    [
        (TotoException(4242, "x"), "/custom"),
        (TotoException("4242", "x"), "/custom"),
        (Failure(), "/missing"),
        (Both(4242, "x"), "/custom"),
        (Both(7, "x"), "/missing"),
        (TotoException(7, "x"), "/other"),
        (Exception("plain"), "/other"),
    ],
)
def test_errors_go_where_code_then_status_then_default_say(error: Exception, url: str) -> None:
    found = marks(error_redirect({4242: "/custom", "404": "/missing"}, "/other")(fresh())).redirects
    assert found is not None
    assert found.target(error) == url


def test_errors_without_a_place_to_go_are_not_redirected() -> None:
    redirects = Redirects({"4242": "/custom", "None": "/oops", "1000": "/thousand"}, None)
    assert redirects.target(TotoException(1, "x")) is None
    assert redirects.target(Exception("x")) is None
