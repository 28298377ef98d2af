"""Batch prediction on Apache Beam: the features, the assembly and the model of the online route, on any of its runners.

    instances ─► batches ─► Enrich (one read of distinct keys per view) ─► RunInference (CatBoost) ─► predictions
                              └──────────────── failures ◄───────────────────────┘

`model.beam.prediction.Predict` is the transform, `python -m model.beam` a pipeline for files and BigQuery. Beam lives
in an environment of its own (the extra `beam`): nothing else imports this package.
"""
