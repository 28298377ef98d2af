"""The same answers offline: files in, files out, scored by what the service scores with."""
