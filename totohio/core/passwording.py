"""What a new password must be: long enough, and not one of those that everybody tries first.

Nothing is said about kinds of characters, since rules of that kind make passwords worse (NIST SP 800-63B, 3.1.1.2).
"""

import functools
from importlib import resources

from totohio.base.errors import ERROR_MISSING_PARAMS, TotoException

LONGEST = 1024  # bytes; more than anybody types, and no work for whoever hashes it


def check(password: str, user_id: str, *, least: int = 8, common: bool = True) -> None:
    """See whether a password will do.

    Args:
        password: The new password.
        user_id: Whose.
        least: Characters that it must have at least.
        common: Look whether it is a common one.

    Raises:
        TotoException: 1003, it will not; the text says why.
    """
    if len(password) < least:
        raise _refuse(f"The password must have {least} characters or more.")
    if len(password.encode("utf-8", "surrogatepass")) > LONGEST:
        raise _refuse(f"The password must have {LONGEST} bytes or fewer.")
    lowered = password.lower()
    if lowered == user_id.lower():
        raise _refuse("The password must not be the user ID.")
    if common and lowered in _common():
        raise _refuse("The password is one of the most common ones.")


@functools.cache
def _common() -> frozenset[str]:
    """Read the list of common passwords, once."""
    text = resources.files("totohio.core").joinpath("common_passwords.txt").read_text("utf-8")
    return frozenset(line for line in text.splitlines() if line and not line.startswith("#"))


def _refuse(text: str) -> TotoException:
    return TotoException(ERROR_MISSING_PARAMS, text)
