"""Presets: from a handle to a checked directory to weights. Only `loading` imports Keras."""
