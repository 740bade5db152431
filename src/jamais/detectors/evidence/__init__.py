"""How surprising is what logs do? Counts, rates, waits, order and bags of events, each in nats."""
