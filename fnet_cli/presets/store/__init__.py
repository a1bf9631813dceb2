"""What has been fetched: the clients' caches, and a manifest beside each preset in them."""
