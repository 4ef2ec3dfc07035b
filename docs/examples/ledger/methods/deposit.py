"""Takes deposits."""

from methods import _book
from totohio import TaskQueue


def invoke(handler, parameters):
    """Add an amount to an account and give its new balance."""
    queue = TaskQueue.instance("book")
    balance = yield queue.yield_task(_book.read, parameters["account"])
    balance += parameters["amount"]
    yield queue.yield_task(_book.write, parameters["account"], balance)
    return balance
