"""Offline scoring: the online service's spec, retrieval, assembly and scorer, for files instead of requests."""
