"""Fetching presets: whole, checked, resumable, and one process at a time."""
