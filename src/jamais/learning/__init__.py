"""How do models learn? The only training loops."""
