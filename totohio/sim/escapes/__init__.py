"""Simulated code that reaches for the real world is found out."""
