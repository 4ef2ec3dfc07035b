"""Methods that a method package may serve by importing them: ``from totohio.app.methods import account``."""
