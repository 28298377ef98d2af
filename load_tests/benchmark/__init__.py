"""The benchmark: ratios of one run on one machine, against bars that were stated before. See `__main__`."""
