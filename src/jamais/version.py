"""Which version is this?"""

__version__ = "0.4.0"
