"""The second factor at login: a code that changes with time, good once.

The code is looked at twice: before the session is opened, so that a wrong one is refused at once, and again with the
account as it is when the session's record is written, so that of two clients that show one code one is refused.
"""

from collections.abc import Callable
from typing import Any

import msgspec

from totohio.base.errors import ERROR_FORBIDDEN, ERROR_MISSING_PARAMS, TotoException
from totohio.core import coding
from totohio.core.account import Account, wrong
from totohio.core.accounting import Accounts
from totohio.core.committing import Unit


def second_factor(account: Account, code: Any, now: float) -> Callable[[Account], None]:
    """Look at the code of a user who logs in; give what marks it as used.

    Args:
        account: The user's.
        code: What the client sends, None without one.
        now: Wall time in Unix seconds.

    Raises:
        TotoException: 1003, a code is wanted (with ``second_factor``); 1005, it is wrong or was used.
    """

    def use(account: Account) -> None:
        if not account.totp_on:
            return
        if code is None:
            error = TotoException(ERROR_MISSING_PARAMS, "Missing parameters: code")
            error.second_factor = "totp"  # type: ignore[attr-defined]
            raise error
        account.totp_step = shown(account, code, now)

    use(msgspec.structs.replace(account))
    return use


def shown(account: Account, code: Any, now: float) -> int:
    """Give the step of time that a code of a second factor is of, whether it was confirmed or not.

    Raises:
        TotoException: 1005, the code is wrong or was used, or there is no second factor.
    """
    step = coding.step(account.totp, str(code), now, account.totp_step) if account.totp else None
    if step is None:
        raise wrong()
    return step


def look(account: Account, code: Any, now: float) -> bool:
    """See whether a code that somebody shows is good, where there is something that it can be of; tell if it is.

    It is looked at when the password is verified, so that a wrong one is a failed attempt, too: who has the password
    cannot try one code after another.

    Raises:
        TotoException: 1005, it is not.
    """
    if code is None or not account.totp:
        return False
    shown(account, code, now)
    return True


def enrol(accounts: Accounts, unit: Unit, user_id: str, issuer: str) -> tuple[str, str]:
    """Begin to give a user a second factor; give its secret in base32, and the same as a URI for apps.

    It is asked for only once `confirm` has seen a code.

    Raises:
        TotoException: 1016, the user has one.
    """
    secret = coding.secret(accounts.minter)

    def edit(account: Account) -> None:
        if account.totp_on:
            raise TotoException(ERROR_FORBIDDEN, "The account has a second factor.")
        account.totp, account.totp_step = secret, 0

    accounts.change(unit, user_id, edit)
    return coding.base32(secret), coding.provisioning_uri(secret, user_id, issuer)


def confirm(accounts: Accounts, unit: Unit, user_id: str, code: Any, now: float) -> None:
    """Ask for the second factor from now on: the user has shown a code of it.

    Raises:
        TotoException: 1005, the code is wrong, or there is nothing to confirm.
    """

    def edit(account: Account) -> None:
        if account.totp_on:
            raise wrong()
        account.totp_on, account.totp_step = True, shown(account, code, now)

    accounts.change(unit, user_id, edit)


def remove(accounts: Accounts, unit: Unit, user_id: str, code: Any = None, now: float = 0.0) -> None:
    """Take the second factor away: from a user who shows a code of it, or without a code for whoever runs the server.

    Raises:
        TotoException: 1005, the code is wrong.
    """

    def edit(account: Account) -> None:
        if code is not None and account.totp_on:
            shown(account, code, now)
        account.totp, account.totp_step, account.totp_on = b"", 0, False

    accounts.change(unit, user_id, edit)
