"""How long commits have held the cycle."""

from typing import Any

import watching


def invoke(handler: Any, parameters: Any) -> list[float]:
    """Give the seconds that each turn of the Doer that commits has taken since this was last asked, and forget them."""
    spent, watching.SPENT[:] = list(watching.SPENT), []
    return spent
