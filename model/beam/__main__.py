"""`python -m model.beam`; what is pickled must not live here, where it would be called `__main__`."""

import sys

from model.beam.command import main

if __name__ == "__main__":
    sys.exit(main())
