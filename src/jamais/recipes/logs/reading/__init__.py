"""How does data become encoded columns?"""
