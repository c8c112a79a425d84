"""DuckDB as the phases use it says nothing by itself: stdout belongs to the answer."""

from __future__ import annotations

from rollout.phases.stages import engine


def test_it_draws_no_progress_bar_and_fetches_nothing(tmp_path):
    with engine(tmp_path) as connection:
        for setting in ("enable_progress_bar", "autoinstall_known_extensions", "autoload_known_extensions"):
            assert connection.execute(f"SELECT current_setting('{setting}')").fetchone() == (False,), setting
