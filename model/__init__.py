"""A trained model as something that can be asked for a score: no feature store, no web framework.

`artifact` finds a bundle's bytes, `container` looks at the outside of a model file, `scorer` is the one door to
CatBoost, and `signature` is what a model says about itself. Nothing here imports `features` or `service`, but for
`training` and `beam`, which stand above both.
"""
