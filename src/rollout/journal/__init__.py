"""The durable record of everything that was intended, done and decided."""
