"""What people see of the data itself in the Prefect UI: its health, and what cleansing made of it."""

from __future__ import annotations

from prefect.artifacts import create_markdown_artifact

from flows._artifacts import key
from rollout.assess.score import WEIGHTS
from rollout.phases.assess import AssessSummary
from rollout.phases.cleanse import CleanseSummary
from rollout.phases.context import PhaseContext
from rollout.project.spec import Language
from rollout.report import figures
from rollout.report.markdown import markdown_table
from rollout.report.messages import messages

VOLUMES = (
    "",
    "清洗前 before",
    "主记录 golden",
    "合并 merged",
    "隔离 quarantined",
    "跳过 skipped",
    "改写的值 values changed",
    "人工修复 repaired",
    "疑似重复 pairs to review",
    "休眠 dormant",
    "待决定 undecided",
)


def publish_assessed(context: PhaseContext, summary: AssessSummary) -> None:
    """The health score, each share that it is made of with its weight, and what each counts."""
    project = context.project.spec.project

    def table(language: Language) -> str:
        t = messages(language)
        rows = [
            [t(f"health.{name}.name"), figures.share(share), f"{WEIGHTS.get(name, '–')}", t(f"health.{name}.formula")]
            for name, share in summary.health.items()
        ]
        return markdown_table([t("assessed.score"), figures.points(summary.score), "×", ""], rows)

    create_markdown_artifact(
        "\n\n".join(table(language) for language in project.languages)
        + f"\n\n{sum(summary.rows.values()):,} 行 rows, {sum(summary.findings.values()):,} 项发现 findings\n",
        key=key(project.id, "data-health"),
        description=f"数据健康度 · Health of the data: {figures.points(summary.score)} / 100",
    )


def publish_cleansed(context: PhaseContext, summary: CleanseSummary) -> None:
    """Rows before and after by entity, and what waits for people: pairs to review, dormant records to decide."""
    rows = []
    for name, done in summary.entities.items():
        dormant = done.dormant
        changed = sum(volume.changed for volume in done.volumes.values())
        counts = (done.source, done.golden, done.merged, done.quarantined, done.skipped, changed, done.repaired)
        waiting = (f"{dormant.found:,}", f"{dormant.undecided:,}") if dormant else ("–", "–")
        rows.append([name, *(f"{count:,}" for count in counts), f"{done.review:,}", *waiting])
    create_markdown_artifact(
        f"{markdown_table(VOLUMES, rows)}\n"
        "交给人：部署 **handouts**（quarantine、review、dormant），收回：**take-in**。\n\n"
        "To hand them to people: deployment **handouts** (quarantine, review, dormant); back: **take-in**.\n",
        key=key(context.project.spec.project.id, "volumes"),
        description="清洗前后的数据量 · Volumes before and after cleansing",
    )
