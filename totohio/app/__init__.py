"""The application: composition, handlers, settings."""
