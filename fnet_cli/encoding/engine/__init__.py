"""The model as a function from dense batches to embeddings, compiled for the Keras backend."""
