"""`python -m fnet_cli` is the `fnet` program."""

from fnet_cli.cli.main import entry_point

if __name__ == "__main__":
    entry_point()
