"""What people see of the data itself in the Prefect UI: its health, and what cleansing made of it."""

from __future__ import annotations

from prefect.artifacts import create_markdown_artifact

from flows._artifacts import key, publish
from rollout.assess.score import WEIGHTS
from rollout.phases.assess import AssessSummary
from rollout.phases.cleanse import CleanseSummary
from rollout.phases.cleansed import EntityCleansing
from rollout.phases.context import PhaseContext
from rollout.project.spec import Language
from rollout.report import figures
from rollout.report.markdown import markdown_table
from rollout.report.messages import messages

VOLUMES = {
    "zh": ("对象", "清洗前", "主记录", "合并", "隔离", "跳过", "改写的值", "人工修复", "疑似重复", "休眠", "待决定"),
    "en": (
        *("entity", "before", "golden", "merged", "quarantined", "skipped"),
        *("changed", "repaired", "to review", "dormant", "undecided"),
    ),
}
TO_PEOPLE = {
    "zh": "交给人：部署 **handouts**（quarantine、review、dormant），收回：**take-in**。",
    "en": "To hand them to people: deployment **handouts** (quarantine, review, dormant); back: **take-in**.",
}


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
    labels = {
        name: {"zh": one.label, "en": one.label_en or name} for name, one in context.project.spec.entities.items()
    }

    def table(language: Language) -> str:
        rows = [[labels[name][language], *_volumes(done)] for name, done in summary.entities.items()]
        return f"{markdown_table(VOLUMES[language], rows)}\n{TO_PEOPLE[language]}\n"

    publish(context, ("volumes",), "清洗前后的数据量 · Volumes before and after cleansing", table)


def _volumes(done: EntityCleansing) -> list[str]:
    changed = sum(volume.changed for volume in done.volumes.values())
    counts = (
        done.source,
        done.golden,
        done.merged,
        done.quarantined,
        done.skipped,
        changed,
        done.repaired,
        done.review,
    )
    dormant = (f"{done.dormant.found:,}", f"{done.dormant.undecided:,}") if done.dormant else ("–", "–")
    return [*(f"{count:,}" for count in counts), *dormant]
