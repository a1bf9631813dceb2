"""The dictionaries and descriptions that texts are taken from, one module each."""
