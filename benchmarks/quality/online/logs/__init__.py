"""How good do alarms on logs become when a person answers: a few questions, late, and now and then wrongly?"""
