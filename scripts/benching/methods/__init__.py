"""The methods that totohio serves while it is measured."""

from totohio.app.methods import account

__all__ = ["account"]
