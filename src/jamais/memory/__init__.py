"""What has been seen so far? Bounded memories of normal vectors."""
