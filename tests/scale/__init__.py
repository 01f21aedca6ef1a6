"""More than one instance, and more than one server."""
