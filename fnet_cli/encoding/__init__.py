"""The encode job: readers, batching, engine, writer."""
