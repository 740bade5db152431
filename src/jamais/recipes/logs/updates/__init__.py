"""How does a recipe take in more data, and what must it not lose by that?"""
