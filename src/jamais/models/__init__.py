"""Networks and tables: text or tensors in, tensors out."""
