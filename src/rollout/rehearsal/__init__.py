"""A month of operation in minutes: a clock that is set, real systems of the testbed, faults that must be found."""
