"""The command line: `keyscore serve | check | predict | put | load | demo`. The one door to typer and rich."""
