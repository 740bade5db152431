"""How do watchers and clusters learn on without forgetting?"""
