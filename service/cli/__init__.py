"""The command line, one module for each command. The one door to typer and rich."""
