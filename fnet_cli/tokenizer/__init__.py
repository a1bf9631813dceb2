"""Sentencepiece vocabularies: special pieces by name."""
