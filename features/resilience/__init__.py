"""Ways of making calls that survive load and failure; they know calls, not features."""
