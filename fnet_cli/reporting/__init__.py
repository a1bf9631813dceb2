"""Embeddings to look at: a sample of an output, what it measures, a page and a picture of it."""
