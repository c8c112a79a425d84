"""The shape of the test: users come evenly, and once the last of them is logged in all stay for a known time."""

from __future__ import annotations

import os

from locust import LoadTestShape
from recorder import Recorder
from salesperson import Salesperson

from rollout.capacity.recording import LocustOptions


class RampAndHold(LoadTestShape):
    """Asked once a second. Marks when the hold begins and ends; its length does not depend on these ticks."""

    abstract = True
    options: LocustOptions
    recorder: Recorder
    _hold_ends_s: float | None = None

    def tick(self) -> tuple[int, float] | None:
        """How many users there should be now; None ends the test."""
        self.recorder.flush()
        settings, now_s = self.options.settings, self.recorder.now_s()
        if os.getppid() != self.options.parent_pid:  # nobody is left to judge, or to clean up after us
            return None
        if self._hold_ends_s is None:
            everybody = self.get_current_user_count() >= settings.users
            ready = everybody and len(Salesperson.logged_in) >= settings.users
            if ready or now_s >= settings.ramp_s + self.options.settle_s:
                self.recorder.mark("hold_began", now_s)
                self._hold_ends_s = now_s + settings.hold_s
        elif now_s >= self._hold_ends_s:
            self.recorder.mark("hold_ended", now_s)
            return None
        return settings.users, settings.users / settings.ramp_s
