"""The call that is measured."""

from typing import Any


def invoke(handler: Any, parameters: Any) -> dict[str, Any]:
    """Give the parameters back."""
    return {"parameters": parameters}
