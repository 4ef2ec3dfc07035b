"""Sockets and the Doers that serve them."""
