"""Gives back what it was given."""

from typing import Any


def invoke(handler: Any, parameters: Any) -> dict[str, Any]:
    """Give the parameters, whatever they are."""
    return {"parameters": parameters}
