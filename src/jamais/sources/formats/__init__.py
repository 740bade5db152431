"""How is one line taken apart? One file per family of formats, and detection."""
