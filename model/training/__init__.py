"""The demo: simulated card payments, a fraud model trained on them, and the bundle and store rows to serve it.

    population, ledger -> simulate -> history -> features_in_time -> catalog -> train -> bundle, golden, card
                                                                            -> rows of the embedded store

Everything that happens at random comes from the seed in `SimulationConfig`; `demo.build_demo` is the way in. This
package may import `features`, whose transforms and types training shares with serving; it knows nothing of `service`.
"""
