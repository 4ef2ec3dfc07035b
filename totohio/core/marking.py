"""Decorators that say how a method wants to be called.

A decorator only attaches a mark; whoever calls the method reads the marks and acts on them. The function
comes back unchanged, so it can be called and tested as it was written.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, TypeVar, overload

ATTRIBUTE = "__toto_marks__"

F = TypeVar("F", bound=Callable[..., Any])


@dataclass(frozen=True, slots=True)
class Requires:
    """A step that wants parameters to be there."""

    names: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Defaults:
    """A step that fills in parameters that are not there."""

    values: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Redirects:
    """Where errors send the client."""

    urls: Mapping[str, str]
    default: str | None

    def target(self, error: Any) -> str | None:
        """Give the URL for an error: by its ``code``, then its ``status_code``, then the default; or None."""
        known = self.known(error)
        return known if known is not None else self.default

    def known(self, error: Any) -> str | None:
        """Give the URL that is for errors like this one alone, or None."""
        for name in ("code", "status_code"):
            code = getattr(error, name, None)
            if code is not None and str(code) in self.urls:
                return self.urls[str(code)]
        return None


@dataclass(frozen=True, slots=True)
class Marks:
    """All that the decorators of one method said.

    Attributes:
        steps: What is done with the parameters before the call, the outermost decorator's first.
        raw: Whether the result is sent as it is rather than in an envelope.
        jsonp: The parameter that holds the name of a JavaScript callback, or None.
        redirects: Where errors send the client, or None.
        asynchronous: Whether the reply comes from ``handler.respond`` rather than from the return.
        session: The decorator that says how the call wants its session, by name, or None.
        roles: What the user has to be.
        waits: It may have to wait in the middle, so it runs where it can be paused.
    """

    steps: tuple[Requires | Defaults, ...] = ()
    raw: bool = False
    jsonp: str | None = None
    redirects: Redirects | None = None
    asynchronous: bool = False
    session: str | None = None
    roles: tuple[str, ...] = ()
    waits: bool = False


_UNMARKED = Marks()


def marks(function: Callable[..., Any]) -> Marks:
    """Give the marks of a function; those of an undecorated one are empty."""
    found = getattr(function, ATTRIBUTE, _UNMARKED)
    return found if isinstance(found, Marks) else _UNMARKED


def mark(function: F, **changes: Any) -> F:
    """Change some of a function's marks and give it back."""
    holder = _holder(function)
    setattr(holder, ATTRIBUTE, replace(marks(holder), **changes))
    return function


def _holder(function: Any) -> Any:
    """Give what carries the marks: of a static or class method the function in it, which is what is called."""
    return function.__func__ if isinstance(function, (staticmethod, classmethod)) else function


def _step(function: F, step: Requires | Defaults) -> F:
    return mark(function, steps=(step, *marks(_holder(function)).steps))


def requires(*names: str) -> Callable[[F], F]:
    """Answer error 1003, naming what is missing, unless the parameters have all these names."""
    if not all(isinstance(name, str) for name in names):
        raise TypeError("requires takes the names of parameters: @requires('user_id', 'amount')")
    return lambda function: _step(function, Requires(names))


def default_parameters(values: Mapping[str, Any]) -> Callable[[F], F]:
    """Fill in parameters that the client did not send; each call gets its own copy of them."""
    return lambda function: _step(function, Defaults(dict(values)))


def raw_response(function: F) -> F:
    """Send what the method returns as it is, as ``handler.response_type`` or application/octet-stream."""
    return mark(function, raw=True)


@overload
def jsonp(callback: F) -> F: ...
@overload
def jsonp(callback: str = "jsonp") -> Callable[[F], F]: ...
def jsonp(callback: Any = "jsonp") -> Any:
    """Send the result as a call of the JavaScript function that a parameter names: ``callback(result)``.

    Args:
        callback: The parameter that names the function; ``@jsonp`` alone takes it from ``jsonp``.
    """
    if callable(callback):
        return mark(callback, jsonp="jsonp")
    if not isinstance(callback, str):
        raise TypeError("jsonp takes the name of a parameter: @jsonp('callback')")
    return lambda function: mark(function, jsonp=callback)


def error_redirect(urls: Mapping[Any, str], default: str | None = None) -> Callable[[F], F]:
    """Send the client elsewhere when the method fails.

    Args:
        urls: Where to, by the error's ``code`` or ``status_code``; numbers and their digits are the same.
        default: Where to for every other error; None answers it as usual.
    """
    redirects = Redirects({str(code): url for code, url in urls.items()}, default)
    return lambda function: mark(function, redirects=redirects)


def asynchronous(function: F) -> F:
    """Leave the reply to ``handler.respond``, which any thread may call, unless the method returns a result."""
    return mark(function, asynchronous=True)


def authenticated(function: F) -> F:
    """Answer error 1004 unless the call comes with the session of a user."""
    return mark(function, session="authenticated")


def authenticated_with_parameter(function: F) -> F:
    """Take the session from the parameter ``session_id`` alone; answer error 1004 without one."""
    return mark(function, session="authenticated_with_parameter")


def optionally_authenticated(function: F) -> F:
    """Load the session that the call comes with, if any."""
    return mark(function, session=marks(_holder(function)).session or "optionally_authenticated")


def anonymous_session(function: F) -> F:
    """Load the session that the call comes with, or open an anonymous one."""
    return mark(function, session="anonymous_session")


def requires_role(*roles: str) -> Callable[[F], F]:
    """Answer error 1004 unless the call comes from a user, and error 1016 unless the user has all these roles.

    Roles are looked up with each call, so that one that was taken away is gone at once.
    """
    if not roles or not all(isinstance(role, str) for role in roles):
        raise TypeError("requires_role takes the names of roles: @requires_role('admin')")

    def decorate(function: F) -> F:
        before = marks(_holder(function))
        return mark(
            function, session=before.session or "optionally_authenticated", roles=(*before.roles, *roles), waits=True
        )

    return decorate


def pausable(function: F) -> F:
    """Run a plain method where it can be paused, so that a password that it verifies does not hold up other calls.

    It is for methods that verify or set passwords themselves (`handler.create_session` with a password, for instance).
    Generators and coroutines need no mark, nor does anything where the store is remote.
    """
    return mark(function, waits=True)
