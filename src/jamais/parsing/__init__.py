"""Which template does a line follow? Text in, template ids out."""
