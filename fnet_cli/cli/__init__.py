"""The `fnet` program: the only place with typer and rich."""
