"""Scripted clients, over simulated sockets or real ones."""
