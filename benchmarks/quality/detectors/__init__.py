"""How well do the detectors tell abnormal rows from normal ones, beside PyOD's?"""
