"""The methods that totohio serves while it is measured."""
