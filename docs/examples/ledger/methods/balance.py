"""Tells balances."""

from methods import _book
from totohio import TaskQueue


def invoke(handler, parameters):
    """Give the balance of an account."""
    return (yield TaskQueue.instance("book").yield_task(_book.read, parameters["account"]))
