"""What is done with a call's parameters before its method sees them.

First the steps of the decorators, the outermost first, then validation: where the second parameter of
``invoke`` is annotated with a type that msgspec converts to, the parameters are checked against it and
converted. Both are prepared once for each method.
"""

import copy
import inspect
import sys
import typing
from collections.abc import Callable
from typing import Any

import msgspec

from totohio.base.errors import ERROR_MISSING_PARAMS, TotoException, TotohioError
from totohio.core.marking import Defaults, Marks, Requires

Guard = Callable[[Any, bool], Any]
"""Takes the parameters and whether they are lax: text from a query or a form, where numbers are digits."""

_IMMUTABLE = (str, bytes, int, float, bool, type(None))
_UNCHECKED = (Any, object, dict, inspect.Parameter.empty)


def prepare(marks: Marks, invoke: Callable[..., Any]) -> Guard | None:
    """Give the function that makes a method's parameters of what the client sent; None when there is nothing to do.

    The function raises TotoException 1003 when parameters are missing or of the wrong kind.

    Raises:
        TotohioError: The annotation of the parameters names what does not exist.
    """
    guards = [_require(step) if isinstance(step, Requires) else _default(step) for step in marks.steps]
    annotation = _annotation(invoke)
    if annotation not in _UNCHECKED:
        converter = _convert(annotation)
        if converter is not None:
            guards.append(converter)
    if len(guards) < 2:
        return guards[0] if guards else None

    def guard(parameters: Any, lax: bool) -> Any:
        for step in guards:
            parameters = step(parameters, lax)
        return parameters

    return guard


def _refuse(text: str) -> TotoException:
    return TotoException(ERROR_MISSING_PARAMS, text)


def _require(step: Requires) -> Guard:
    names = step.names

    def require(parameters: Any, lax: bool) -> Any:
        if not isinstance(parameters, dict):
            raise _refuse("Parameters must be an object.")
        missing = [name for name in names if name not in parameters]
        if missing:
            raise _refuse(f"Missing parameters: {', '.join(missing)}")
        return parameters

    return require


def _default(step: Defaults) -> Guard:
    values = dict(step.values)
    fresh = not all(isinstance(value, _IMMUTABLE) for value in values.values())

    def default(parameters: Any, lax: bool) -> Any:
        if not isinstance(parameters, dict):
            raise _refuse("Parameters must be an object.")
        return {**(copy.deepcopy(values) if fresh else values), **parameters}

    return default


def _annotation(invoke: Callable[..., Any]) -> Any:
    """Give the type that the second parameter is annotated with; only that one has to exist at run time."""
    if sys.version_info >= (3, 14):
        import annotationlib

        signature = inspect.signature(invoke, annotation_format=annotationlib.Format.FORWARDREF)
    else:
        signature = inspect.signature(invoke)
    positional = [
        parameter
        for parameter in signature.parameters.values()
        if parameter.kind in (parameter.POSITIONAL_ONLY, parameter.POSITIONAL_OR_KEYWORD)
    ]
    if len(positional) < 2 or positional[1].annotation is inspect.Parameter.empty:
        return inspect.Parameter.empty
    holder = type("Holder", (), {"__annotations__": {"parameters": positional[1].annotation}})
    names = getattr(inspect.unwrap(invoke), "__globals__", {})
    try:
        return typing.get_type_hints(holder, globalns=names, include_extras=True)["parameters"]
    except NameError as error:
        where = getattr(invoke, "__module__", "?")
        raise TotohioError(f"the annotation of invoke's parameters in {where} cannot be read: {error}") from None


def _convert(annotation: Any) -> Guard | None:
    """Make the guard that converts to a type; None for a type that msgspec knows nothing of."""
    try:
        info = msgspec.inspect.type_info(annotation)
    except (TypeError, NameError) as error:
        raise TotohioError(f"parameters cannot be converted to {annotation!r}: {error}") from None
    if isinstance(info, msgspec.inspect.CustomType | msgspec.inspect.AnyType):
        return None
    many, single = _shapes(info)

    def convert(parameters: Any, lax: bool) -> Any:
        if lax and isinstance(parameters, dict):
            parameters = {name: _reshape(name, value, many, single) for name, value in parameters.items()}
        try:
            return msgspec.convert(parameters, annotation, strict=not lax)
        except msgspec.ValidationError as error:
            raise _refuse(str(error)) from None

    return convert


def _shapes(info: msgspec.inspect.Type) -> tuple[frozenset[str], frozenset[str]]:
    """Give the names of the fields that take lists, and of those that take no list, among a type's fields."""
    many, single = set(), set()
    for field in getattr(info, "fields", ()):
        kinds = field.type.types if isinstance(field.type, msgspec.inspect.UnionType) else (field.type,)
        if any(isinstance(kind, _LISTS) for kind in kinds):
            many.add(field.encode_name)
        elif not any(isinstance(kind, msgspec.inspect.AnyType | msgspec.inspect.CustomType) for kind in kinds):
            single.add(field.encode_name)
    return frozenset(many), frozenset(single)


_LISTS = (
    msgspec.inspect.ListType,
    msgspec.inspect.TupleType,
    msgspec.inspect.VarTupleType,
    msgspec.inspect.SetType,
    msgspec.inspect.FrozenSetType,
    msgspec.inspect.CollectionType,
)


def _reshape(name: Any, value: Any, many: frozenset[str], single: frozenset[str]) -> Any:
    """Make a list of a query's single value, or a single value of a form's list, as the field wants it."""
    if isinstance(value, str):
        return [value] if name in many else value
    if isinstance(value, list) and len(value) == 1 and name in single:
        return value[0]
    return value
