"""TLS for the server: one context, built once, that fails early and says which file is wrong."""

import os
import ssl
from pathlib import Path

from totohio.base.errors import SettingsError

ALPN = ["http/1.1"]  # the one protocol that we speak; a client that offers only others gets none
# How OpenSSL says that a sound certificate and a sound key are not a pair; the last when they differ in kind.
MISMATCHES = {"KEY_VALUES_MISMATCH", "KEY_TYPE_MISMATCH", "NO_CERTIFICATE_ASSIGNED"}

File = str | os.PathLike[str]


def server_context(
    certfile: File,
    keyfile: File | None = None,
    cafile: File | None = None,
    *,
    password: str | None = None,
) -> ssl.SSLContext:
    """Make the context for a server's connections: TLS 1.2 or later.

    Args:
        certfile: PEM file with the server's certificate, followed by those in between up to the root.
        keyfile: PEM file with the private key; without it the key is in ``certfile``.
        cafile: PEM file with the certificates that client certificates are checked against. With it every client has
            to show one; without it none is asked for.
        password: What the private key is encrypted with.

    Raises:
        SettingsError: A file is missing, unreadable, not what it should be, or does not fit another one.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.options |= ssl.OP_NO_RENEGOTIATION  # TLS 1.2 clients could make us repeat the costly part for ever
    context.set_alpn_protocols(ALPN)
    # OpenSSL does not say which of the two files of a chain it could not parse, so the certificates go first and
    # into a context of their own: ours would trust them as roots of client certificates.
    _load_roots(ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), certfile, "certfile")
    _load_chain(context, certfile, keyfile or certfile, password)
    if cafile:
        _load_roots(context, cafile, "cafile")
        context.verify_mode = ssl.CERT_REQUIRED
    return context


def _load_roots(context: ssl.SSLContext, path: File, option: str) -> None:
    """Load a file of certificates to check others against."""
    _expect(path, option, "CERTIFICATE-----", "certificate")
    try:
        context.load_verify_locations(path)
    except ssl.SSLError as error:
        raise SettingsError(f"{option} {path}: a certificate in it is damaged") from error


def _load_chain(context: ssl.SSLContext, certfile: File, keyfile: File, password: str | None) -> None:
    """Load the server's own certificate, which is known to be well-formed, and its key."""
    _expect(keyfile, "keyfile", "PRIVATE KEY-----", "private key")
    asked = False

    def secret() -> str:
        # Without this OpenSSL would ask on the terminal, and a server that nobody watches would hang.
        nonlocal asked
        asked = True
        if password is None:
            raise SettingsError(f"keyfile {keyfile}: the private key is encrypted and no password is given")
        return password

    try:
        context.load_cert_chain(certfile, keyfile, secret)
    except (ssl.SSLError, ValueError) as error:  # ValueError: a password longer than OpenSSL takes
        reason = getattr(error, "reason", None)
        if reason in MISMATCHES:
            text = f"keyfile {keyfile}: the private key does not belong to the certificate in {certfile}"
        elif asked:
            text = f"keyfile {keyfile}: the password of the private key is wrong"
        elif reason:
            text = f"certfile {certfile}: not accepted ({reason})"
        else:
            text = f"keyfile {keyfile}: the private key in it is damaged"
        raise SettingsError(text) from error


def _expect(path: File, option: str, mark: str, what: str) -> None:
    """Read a PEM file and refuse it when the mark of what it must hold is missing."""
    try:
        text = Path(path).read_text(encoding="ascii", errors="replace")
    except OSError as error:
        raise SettingsError(f"{option} {path}: cannot be read ({error.strerror})") from error
    except ValueError as error:  # a NUL in the path
        raise SettingsError(f"{option} {path!r}: no file can have that name") from error
    if mark not in text:
        raise SettingsError(f"{option} {path}: holds no {what} in PEM form")
