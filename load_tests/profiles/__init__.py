"""Profiles: one module each, with a `PROFILE`. Being in this folder is being in the list."""
