"""What do damage, crashes, power cuts and malice make of a saved state: ours, and those that others save?"""
