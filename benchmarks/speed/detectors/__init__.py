"""How fast are the detectors, beside their peers and the matrix product that they cannot do without?"""
