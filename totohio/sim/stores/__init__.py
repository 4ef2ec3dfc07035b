"""Simulated databases: what a host keeps in its LMDB, and a Redis server."""
