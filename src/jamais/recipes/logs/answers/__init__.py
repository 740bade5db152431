"""What did people say, and what follows from it?"""
