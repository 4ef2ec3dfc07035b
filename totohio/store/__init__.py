"""Adapters: where accounts and sessions live."""
