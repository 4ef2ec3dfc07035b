"""The second factor at login: a code that changes with time, good once.

The code is looked at twice: before the session is opened, so that a wrong one is refused at once, and again with the
account as it is when the session's record is written, so that of two clients that show one code one is refused.
"""

from collections.abc import Callable
from typing import Any

from totohio.base.errors import ERROR_MISSING_PARAMS, TotoException
from totohio.core import coding
from totohio.core.account import Account, wrong


def second_factor(account: Account, code: Any, now: float) -> Callable[[Account], None]:
    """Look at the code of a user who logs in; give what marks it as used.

    Args:
        account: The user's.
        code: What the client sends, None without one.
        now: Wall time in Unix seconds.

    Raises:
        TotoException: 1003, a code is wanted (with ``second_factor``); 1005, it is wrong or was used.
    """
    if not account.totp_on:
        return _nothing
    if code is None:
        error = TotoException(ERROR_MISSING_PARAMS, "Missing parameters: code")
        error.second_factor = "totp"  # type: ignore[attr-defined]
        raise error

    def use(account: Account) -> None:
        if not account.totp_on:
            return
        step = coding.step(account.totp, str(code), now, account.totp_step)
        if step is None:
            raise wrong()
        account.totp_step = step

    use(Account(account.user_id, "", 0.0, 0.0, totp=account.totp, totp_step=account.totp_step, totp_on=True))
    return use


def _nothing(account: Account) -> None:
    """There is no second factor."""
