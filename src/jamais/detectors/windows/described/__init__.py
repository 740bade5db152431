"""In which ways is a window described?"""
