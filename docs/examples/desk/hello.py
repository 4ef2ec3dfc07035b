def invoke(handler, parameters):
    """Greet somebody."""
    return f"Hello, {parameters['name']}!"
