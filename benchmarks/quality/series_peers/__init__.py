"""What four deep detectors of TSB-AD say about SMD and ASD: made once, in an environment of their own."""
