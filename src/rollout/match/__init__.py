"""Which records are the same customer. Pure over frames."""
