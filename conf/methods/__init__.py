"""The methods of the example: each module is one, called by its name. Those of accounts come with totohio."""

from totohio.app.methods import account, client_error

__all__ = ["account", "client_error"]
