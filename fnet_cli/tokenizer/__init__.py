"""Text in, token ids out: sentencepiece vocabularies, packing, chunks."""
