"""What `fnet doctor` looks at: the installation, the machine, the caches and the hubs."""
