def invoke(handler, parameters):
    """Wait for half a minute."""
    yield 30.0
    return "at last"
