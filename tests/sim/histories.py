"""Histories written as lines, their verdict, and models that do not come along."""

from typing import Any

from totohio.sim.checks.histories import History
from totohio.sim.checks.linearizing import NotLinearizable, check_linearizable
from totohio.sim.checks.models import Model, Register


class Queue(Model):
    """First in, first out; its state is a list, which cannot be hashed."""

    initial: Any = []  # noqa: RUF012

    def step(self, state: Any, name: str, args: tuple[Any, ...]) -> tuple[Any, Any]:
        if name == "put":
            return None, [*state, *args]
        return (state[0], state[1:]) if state else (None, state)


def history(*lines: tuple[Any, ...]) -> History:
    """Make one of lines: client, from, to, name, arguments, result; without an end the outcome is unknown."""
    made = History()
    for client, began, ended, name, *args, result in lines:
        operation = made.call(client, name, *args, at=began)
        if ended is not None:
            operation.ok(result, at=ended)
    return made


def is_linearizable(made: History, model: Model, limit: int = 1_000_000) -> bool:
    """Tell the verdict."""
    try:
        check_linearizable(made, model, limit=limit)
    except NotLinearizable:
        return False
    return True


class Dictionary(Model):
    """Many registers with one state, which has no keys to be checked one by one."""

    initial: Any = ()

    def step(self, state: Any, name: str, args: tuple[Any, ...]) -> tuple[Any, Any]:
        values = dict(state)
        result, values[args[0]] = Register(0).step(values.get(args[0], 0), name, args[1:])
        return result, tuple(sorted(values.items()))


class Plain(Model):
    """Another model that does not tell which of its operations are queries or overwrite."""

    def __init__(self, model: Model) -> None:
        self.initial = model.initial
        self.model = model

    def step(self, state: Any, name: str, args: tuple[Any, ...]) -> tuple[Any, Any]:
        return self.model.step(state, name, args)
