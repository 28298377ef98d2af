"""Load tests: a program of its own that knows the service by its wire only."""
