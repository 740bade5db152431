"""Which version is this?"""

__version__ = "0.5.0"
