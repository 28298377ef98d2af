"""The HTTP face, and the only place beside training that knows both features and models."""
