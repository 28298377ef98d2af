"""Telemetry: what happened becomes numbers, and numbers become what Prometheus and OpenTelemetry want.

    observe(event) ─► tally (plain integers) ─► catalogue (one table of metrics) ─┬─► prometheus (pulled: /metrics)
                                                                                  └─► otlp (pushed, when asked for)

Counting is on the request's path and knows no metrics library; everything else happens when somebody exports.
"""
