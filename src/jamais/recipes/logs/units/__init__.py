"""How are lines, sessions and windows learned and judged?"""
