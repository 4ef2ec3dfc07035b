"""Codes: of a second factor that changes with time, single-use ones, and API keys."""

import base64
import hashlib
import hmac
import re

import pyotp
from pyotp.utils import strings_equal

from totohio.base.clocking import Minter

SECRET_SIZE = 20  # bytes of a secret, as many as HMAC-SHA1 takes (RFC 4226, 4)
STEP = 30  # seconds of a step of time (RFC 6238, 5.2)
DRIFT = 1  # steps by which the clocks of server and client may differ
CODE_SIZE = 24  # bytes of a single-use code
KEY_SIZE = 32  # bytes of an API key
KEY_PREFIX = "tk_"
_CODE = re.compile(r"[0-9]{6}\Z", re.ASCII)
_SCOPE = re.compile(r"(\*|[^\W\d]\w*(\.[^\W\d]\w*)*(\.\*)?)\Z")


# ---------------------------------------------------------------- second factors


def secret(minter: Minter) -> bytes:
    """Draw a secret for codes that change with time."""
    return minter.draw(SECRET_SIZE)


def base32(secret: bytes) -> str:
    """Give a secret as apps take it when it is typed."""
    return base64.b32encode(secret).decode()


def provisioning_uri(secret: bytes, user_id: str, issuer: str) -> str:
    """Give a secret as apps take it from a QR code: an ``otpauth://`` URI."""
    return pyotp.TOTP(base32(secret), interval=STEP).provisioning_uri(name=user_id, issuer_name=issuer)


def step(secret: bytes, code: str, now: float, last: int) -> int | None:
    """Give the step of time that a code is of; None when it is of none that counts.

    Args:
        secret: Of the user.
        code: Six digits, as the user has typed them; spaces do not matter.
        now: Wall time in Unix seconds.
        last: The last step whose code was used: it and those before are not taken again.
    """
    text = code.replace(" ", "")
    if not _CODE.match(text):
        return None
    totp = pyotp.TOTP(base32(secret), interval=STEP)
    current = int(now // STEP)
    found = None
    for number in range(current - DRIFT, current + DRIFT + 1):
        if number >= 0 and strings_equal(totp.generate_otp(number), text) and number > last:
            found = number
    return found


# ---------------------------------------------------------------- single-use codes and keys


def mint(minter: Minter) -> str:
    """Draw a single-use code: 32 characters, URL-safe."""
    return base64.urlsafe_b64encode(minter.draw(CODE_SIZE)).decode()


def mint_key(minter: Minter) -> str:
    """Draw an API key: ``tk_`` and 43 characters, URL-safe."""
    return KEY_PREFIX + base64.urlsafe_b64encode(minter.draw(KEY_SIZE)).rstrip(b"=").decode()


def digest(text: str) -> bytes:
    """Give what is kept of a code or key: its SHA-256, which is enough since nobody can guess either."""
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest()


def same(one: bytes, other: bytes) -> bool:
    """Tell whether two digests are the same, in a time that tells nothing else."""
    return hmac.compare_digest(one, other)


# ---------------------------------------------------------------- scopes


def is_scope(scope: object) -> bool:
    """Tell whether something is a scope: the name of a method, of a package with ``.*``, or ``*``."""
    return isinstance(scope, str) and _SCOPE.match(scope) is not None


def allows(scopes: tuple[str, ...], name: str) -> bool:
    """Tell whether scopes allow a method: by its name, ``package.*`` for all that is in a package, or ``*`` for all."""
    return any(scope in ("*", name) or (scope.endswith(".*") and name.startswith(scope[:-1])) for scope in scopes)
