"""How does state survive? Trees of arrays and JSON values in, verified versions out."""
