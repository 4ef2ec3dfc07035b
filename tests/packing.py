"""Values for tests of bodies, and what their packing must raise."""

from typing import Any

import pytest
from hypothesis import strategies as st

from totohio.base.errors import TotoException
from totohio.wire.packing import BSON, JSON, MSGPACK, Packer

PACKER = Packer(msgpack=True, bson=True)
KINDS = [JSON, MSGPACK, BSON]

texts = st.text(st.characters(exclude_categories=["Cs"]))
names = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"))
scalars = st.none() | st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.floats(allow_nan=False) | texts
finite = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | texts


def nested(leaves: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """Lists and objects of these, to some depth."""
    return st.recursive(leaves, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(names, inner, max_size=4))


def code_of(call: Any, *args: Any) -> Any:
    """The code of the error that a call must raise."""
    with pytest.raises(TotoException) as caught:
        call(*args)
    return caught.value.code


def text_of(call: Any, *args: Any) -> str:
    """The text of the error that a call must raise."""
    with pytest.raises(TotoException) as caught:
        call(*args)
    return str(caught.value.value)


def refusal(call: Any, *args: Any) -> TotoException | None:
    """The TotoException that a call raises, if it raises one; any other error is a failure."""
    try:
        call(*args)
    except TotoException as error:
        return error
    return None
