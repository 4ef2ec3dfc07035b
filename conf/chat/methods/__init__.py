"""The methods of the chat, and the built-in ones for events."""

from totohio.app.methods import events

__all__ = ["events"]
