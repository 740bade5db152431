"""How well are anomalies in multivariate series found, beside peers in the same run? See `__main__`."""
