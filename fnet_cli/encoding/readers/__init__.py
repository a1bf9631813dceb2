"""Input formats: each reader yields Arrow record batches with the position of their rows."""
