"""How well are new classes found while old labels stay, beside others that learn on?"""
