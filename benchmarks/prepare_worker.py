"""Prepares the customers of one project and prints its own time and peak memory as JSON; started by `prepare`."""

from __future__ import annotations

import dataclasses
import json
import resource
import sys
import time
from pathlib import Path

from rollout.phases.assess import assess
from rollout.phases.cleanse import entity_rules
from rollout.phases.cleansing import cleanse_entity
from rollout.phases.context import open_context
from rollout.phases.raw import read_source
from rollout.phases.stages import StageStore
from rollout.project.loader import load_project

ENTITY = "account"


def prepare(root: Path) -> dict:
    """Read, assess, cleanse and match; seconds by step."""
    project = load_project(root / "rollout.yaml")
    only = {ENTITY: project.spec.entities[ENTITY]}
    project = dataclasses.replace(project, spec=project.spec.model_copy(update={"entities": only}))
    source = only[ENTITY].sources[0]
    with open_context(project) as context:
        times = [time.perf_counter()]
        raw = read_source(context, ENTITY, source)
        times.append(time.perf_counter())
        assess(context, {ENTITY: [raw]}, run_id="benchmark")
        times.append(time.perf_counter())
        store = StageStore(project.workspace.stages)
        done = cleanse_entity(store, entity_rules(project, ENTITY), {source.name: raw}, {}, context.progress)
        times.append(time.perf_counter())
    unit = 1024 if sys.platform != "darwin" else 1024 * 1024
    return {
        "seconds": times[-1] - times[0],
        "steps_s": {
            "read": times[1] - times[0],
            "assess": times[2] - times[1],
            "cleanse and match": times[3] - times[2],
        },
        "peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / unit,
        "became": f"{done.golden:,} golden + {done.merged:,} merged + {done.quarantined:,} quarantined",
    }


if __name__ == "__main__":
    print(json.dumps(prepare(Path(sys.argv[1]))))
