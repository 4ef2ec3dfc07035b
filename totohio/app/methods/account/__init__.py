"""Accounts of users: made, logged in to and out of, changed, and what they are reached with."""

from totohio.app.methods.account import (
    create,
    create_key,
    keys,
    login,
    logout,
    reset,
    revoke,
    revoke_key,
    sessions,
    totp_enrol,
    totp_remove,
    update,
)

__all__ = [
    "create",
    "create_key",
    "keys",
    "login",
    "logout",
    "reset",
    "revoke",
    "revoke_key",
    "sessions",
    "totp_enrol",
    "totp_remove",
    "update",
]
