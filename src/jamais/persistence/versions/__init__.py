"""Which versions of a state exist, and how do they survive anything?"""
