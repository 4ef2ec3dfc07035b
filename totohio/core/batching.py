"""The order of a batch's entries and the results that they take from each other.

A parameter ``"#name": {"resultOf": id, "path": pointer}`` becomes ``name`` with the part of that entry's
result that the JSON pointer names (RFC 8620 section 3.7, RFC 6901). The entry then starts after the one that it
takes from. A parameter whose name begins with ``#`` and which has no ``resultOf`` is an ordinary one.
"""

import heapq
from collections.abc import Iterator, Mapping, Set
from typing import Any

from totohio.base.errors import ERROR_BATCH_REFERENCE, TotoException
from totohio.wire.enveloping import Batch
from totohio.wire.packing import decode_json, decode_msgpack, encode_json, encode_msgpack

MAX_REFERENCED = 10 * 1024 * 1024
"""Bytes (as JSON) that the references of one batch may bring in: a security limit. Each of a chain of entries
that take the result before them twice would double it, so that thirty of them would fill any memory."""

_NO_SOURCES: frozenset[str] = frozenset()

ITEM = 64
"""Bytes that an item costs which a ``*`` passes, for each token of the path from there on: a step takes up to 0.6
microseconds however small the item is, so that the whole budget is spent within a tenth of a second and not within six.
"""

CONVERSION = 512
"""Bytes that a value on the way costs, beside its size, when it has to be written and read to be looked into: that
takes 2 to 5 microseconds."""

REFERENCE = 256
"""Bytes that a reference costs in any case: it takes 3 microseconds to follow the shortest."""


class Budget:
    """How many bytes the references of one batch may still bring in."""

    __slots__ = ("left",)

    def __init__(self, size: int = MAX_REFERENCED) -> None:
        self.left = size

    def take(self, size: int) -> None:
        """Pay for so many bytes; once too little was left nothing is given any more.

        Raises:
            TotoException: 1015, when too little is left.
        """
        self.left -= size
        if self.left < 0:
            raise _unresolved("the results that this batch passes on are too large")


def _unresolved(text: str) -> TotoException:
    return TotoException(ERROR_BATCH_REFERENCE, f"Cannot resolve reference: {text}.")


def _references(parameters: Any) -> Iterator[tuple[str, dict[Any, Any]]]:
    if isinstance(parameters, dict):
        for name, value in parameters.items():
            if isinstance(name, str) and name[:1] == "#" and isinstance(value, dict) and "resultOf" in value:
                yield name, value


def sources(parameters: Any) -> Set[str]:
    """Give the ids of the entries whose results the parameters take.

    Raises:
        TotoException: 1015, when a reference is malformed.
    """
    try:
        names = "".join(parameters) if type(parameters) is dict else ""
    except TypeError:  # MessagePack has names that are no texts
        names = "#"
    if "#" not in names:
        return _NO_SOURCES
    found = set()
    for name, reference in _references(parameters):
        id, path = reference["resultOf"], reference.get("path")
        if not isinstance(id, str) or not isinstance(path, str):
            raise _unresolved(f"{name} needs the strings resultOf and path")
        if name[1:] in parameters:
            raise _unresolved(f"both {name} and {name[1:]} are given")
        found.add(id)
    return found


def resolve(parameters: Any, replies: Mapping[str, Mapping[str, Any]], budget: Budget | None = None) -> Any:
    """Give the parameters with references replaced by copies of what they refer to.

    Args:
        parameters: An entry's parameters; unchanged, and given back as they are when nothing refers.
        replies: The replies of the entries that are done, by id: ``{"result": ...}`` or ``{"error": ...}``.
        budget: What all entries of the batch share.

    Raises:
        TotoException: 1015, when a reference is malformed, its source failed or is missing, or the pointer
            leads nowhere.
    """
    if not sources(parameters):
        return parameters
    budget = budget or Budget()
    resolved = dict(parameters)
    for name, reference in _references(parameters):
        id = reference["resultOf"]
        source = replies.get(id)
        if source is None:
            raise _unresolved(f"there is no result of {id!r}")
        if "result" not in source:
            raise _unresolved(f"{id!r} failed")
        budget.take(REFERENCE)
        try:
            value = _follow(source["result"], _tokens(reference["path"]), 0, reference["path"], budget)
        except RecursionError:
            raise _unresolved(f"the result of {id!r} is nested too deeply") from None
        del resolved[name]
        resolved[name[1:]] = _plain(value, budget)
    return resolved


def _plain(value: Any, budget: Budget) -> Any:
    """Give a value as clients see it, sharing nothing with the reply that it comes from."""
    for write, read in ((encode_json, decode_json), (encode_msgpack, decode_msgpack)):  # the latter has bytes
        try:
            body = write(value)
            plain = read(body)
        except TotoException:
            continue
        budget.take(len(body))
        return plain
    raise _unresolved("the result cannot be passed on")


def _tokens(path: str) -> list[str]:
    """Split a JSON pointer into its unescaped tokens."""
    if not path:
        return []
    if path[0] != "/":
        raise _unresolved(f"the path {path!r} does not begin with a slash")
    tokens = []
    for token in path[1:].split("/"):
        plain = token.replace("~0", "").replace("~1", "")
        if "~" in plain:
            raise _unresolved(f"the path {path!r} has a ~ that is not ~0 or ~1")
        tokens.append(token.replace("~1", "/").replace("~0", "~"))
    return tokens


def _follow(value: Any, tokens: list[str], start: int, path: str, budget: Budget) -> Any:
    for position in range(start, len(tokens)):
        token = tokens[position]
        if not isinstance(value, dict | list | tuple) or (isinstance(value, dict) and token not in value):
            budget.take(CONVERSION)
            value = _plain(value, budget)  # an object's fields, or keys that are no strings
        if isinstance(value, dict):
            if token not in value:
                raise _unresolved(f"there is nothing at {path!r}")
            value = value[token]
        elif not isinstance(value, list | tuple):
            raise _unresolved(f"there is nothing at {path!r}")
        elif token == "*":
            budget.take(ITEM * len(value) * (len(tokens) - position))
            gathered: list[Any] = []
            for item in value:
                found = _follow(item, tokens, position + 1, path, budget)
                if isinstance(found, list | tuple):
                    gathered.extend(found)
                else:
                    gathered.append(found)
            return gathered
        else:
            value = value[_index(token, len(value), path)]
    return value


def _index(token: str, length: int, path: str) -> int:
    if token.isascii() and token.isdigit() and (token == "0" or token[0] != "0") and len(token) < 20:
        index = int(token)
        if index < length:
            return index
    raise _unresolved(f"there is nothing at {path!r}")


def order(batch: Batch) -> tuple[list[str], dict[str, Set[str]], dict[str, TotoException]]:
    """Put a batch's entries in the order in which they start.

    Entries start in sorted order of their ids, except that each starts after those whose results it takes.

    Returns:
        The ids in order; for each of them that takes results, the ids of its sources; and the errors of
        the entries that cannot start at all, which are not in the order. A source may be one of these.
    """
    entries = batch.entries
    waits: dict[str, Set[str]] = {}
    faults: dict[str, TotoException] = {}
    for id, entry in entries.items():
        try:
            found = sources(entry.parameters)
            if not found:
                continue
            unknown = [source for source in found if source not in entries]
            if unknown:
                raise _unresolved(f"the batch has no entry {min(unknown)!r}")
            waits[id] = found
        except TotoException as error:
            faults[id] = error
    if not waits:
        return sorted(entries.keys() - faults.keys()), {}, faults
    for id in _circular(waits):
        faults[id] = _unresolved("it leads in a circle")
        del waits[id]
    return _sort(sorted(entries.keys() - faults.keys()), waits, faults), waits, faults


def _circular(waits: dict[str, Set[str]]) -> set[str]:
    """Give the ids that wait for themselves, directly or through others, or that lie between two such circles."""
    graph = {id: {source for source in found if source in waits} for id, found in waits.items()}
    return set(_peeled(_reversed(_peeled(graph))))


def _peeled(graph: Mapping[str, Set[str]]) -> dict[str, set[str]]:
    """Take away, again and again, the nodes that have no edges to others, and give what is left."""
    takers = _reversed(graph)
    pending = {id: len(found) for id, found in graph.items()}
    ready = [id for id, count in pending.items() if not count]
    while ready:
        for taker in takers[ready.pop()]:
            pending[taker] -= 1
            if not pending[taker]:
                ready.append(taker)
    return {id: {end for end in graph[id] if pending[end]} for id, count in pending.items() if count}


def _reversed(graph: Mapping[str, Set[str]]) -> dict[str, set[str]]:
    turned: dict[str, set[str]] = {id: set() for id in graph}
    for id, ends in graph.items():
        for end in ends:
            turned[end].add(id)
    return turned


def _sort(ids: list[str], waits: dict[str, Set[str]], faults: Mapping[str, Any]) -> list[str]:
    takers: dict[str, list[str]] = {}
    pending: dict[str, int] = {}
    for id, found in waits.items():
        count = 0
        for source in found:
            if source not in faults:
                takers.setdefault(source, []).append(id)
                count += 1
        pending[id] = count
    ready = [id for id in ids if not pending.get(id)]  # sorted, and so a heap already
    ordered = []
    while ready:
        id = heapq.heappop(ready)
        ordered.append(id)
        for taker in takers.get(id, ()):
            pending[taker] -= 1
            if not pending[taker]:
                heapq.heappush(ready, taker)
    return ordered
