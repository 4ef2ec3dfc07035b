"""The methods of the example: each module is one, called by its name."""
