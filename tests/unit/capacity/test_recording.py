"""What Locust writes is read back, also after it was killed in the middle of a line."""

from __future__ import annotations

from rollout.capacity.recording import Mark, Sample, Stored, line, read_recording

ENTRIES = (
    Mark("began", 0.0),
    Sample(0.1, 0.2, 1, 5, "create_account"),
    Stored("account", "loadtest:1:1", "name", "上海恒泰（压测 1）"),
    Sample(0.4, 0.1, 2, 5, "open_account", "http_500"),
    Mark("began", 9.0),
)


def test_a_recording_is_read_as_it_was_written_and_the_first_mark_counts(tmp_path):
    path = tmp_path / "r.jsonl"
    path.write_text("".join(map(line, ENTRIES)), encoding="utf-8")
    found = read_recording(path)
    assert (found.samples, found.stored) == ((ENTRIES[1], ENTRIES[3]), (ENTRIES[2],))
    assert (found.mark("began"), found.mark("hold_began")) == (0.0, None)


def test_a_line_cut_short_is_left_out_and_no_file_is_an_empty_recording(tmp_path):
    path = tmp_path / "r.jsonl"
    path.write_text(line(ENTRIES[1]) + line(ENTRIES[3])[:-9], encoding="utf-8")
    assert read_recording(path).samples == (ENTRIES[1],)
    assert read_recording(tmp_path / "none.jsonl").samples == ()
