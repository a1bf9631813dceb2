"""Where encoded rows go: formats that grow part by part, the job's own directory, its journal."""
