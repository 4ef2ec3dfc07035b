"""Accounts of users: made, logged in to and out of, changed."""

from totohio.app.methods.account import create, login, logout, update

__all__ = ["create", "login", "logout", "update"]
