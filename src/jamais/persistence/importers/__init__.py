"""How do other programs' files become state trees? One module per program, each read strictly."""
