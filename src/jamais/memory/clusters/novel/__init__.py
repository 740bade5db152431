"""When is a new cluster born, and what may it take?"""
