"""The methods of the examples."""
