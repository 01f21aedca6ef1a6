"""The command line and the SDK, each against a service that really runs."""
