"""Profile data and say what is wrong with it. Pure over frames."""
