"""Traces made up of what is noted in them."""

from totohio.sim.pictures.tracing import Detail, Trace

Noted = tuple[str, str, *tuple[Detail, ...]]  # host, kind, details


def traced(*noted: Noted, limit: int = 1000, step: float = 0.5) -> Trace:
    """Give a trace with an entry each ``step`` seconds."""
    trace = Trace(limit=limit)
    for number, entry in enumerate(noted):
        trace.note(number * step, *entry)
    return trace
