"""What is an event, and how surprising is it?"""
