"""Maintainers' scripts: what was made from WordNet, and how to make it again."""
