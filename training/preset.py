"""The preset that is trained: its sizes are the registry's, encode settings and files are here."""

from __future__ import annotations

from fnet_cli.presets.registry import BUILTIN_PRESETS

PRESET = BUILTIN_PRESETS["f_net_mini_en"]
# What training leaves in the working directory.
STUDENT = "student.weights.h5"
LOG = "training_log.csv"
# What it is trained for, and so what its file of encode settings recommends.
SEQUENCE_LENGTH = 256
ENCODE_SETTINGS = {
    "pooling": "mean",
    "normalize": True,
    "sequence_length": SEQUENCE_LENGTH,
    "padding": "bucket",
}
