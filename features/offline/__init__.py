"""Reading for jobs: the same rows as for requests, with more time, at a pace, and counted."""
