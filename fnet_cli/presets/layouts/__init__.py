"""On-disk formats of a preset: how its config and its tensors are read and written."""
