"""What does it cost to save and load a training state durably and verified, beside the usual ways?"""
