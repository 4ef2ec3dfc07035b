"""Recordings of real servers, run again in virtual time."""
