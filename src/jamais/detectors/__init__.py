"""How unlikely is this row? Evidence in nats and calibrated p-values."""
