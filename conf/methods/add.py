"""Adds two numbers."""

from dataclasses import dataclass
from typing import Any


@dataclass
class Parameters:
    """What to add; anything else than two numbers is error 1003 and says where."""

    a: float
    b: float


def invoke(handler: Any, parameters: Parameters) -> float:
    """Give the sum."""
    return parameters.a + parameters.b
