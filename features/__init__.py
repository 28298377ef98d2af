"""What is known about an entity right now: no web framework, no model.

Pure modules (no clock, loop, socket or framework): `values`, `transforms`, `planning`, `freshness`, `assembly`,
`keys`, `spec`. Around them: `cache`, `retrieval`, `resilience` and the online stores.
"""
