"""What an assessment suggests for the mapping: columns for empty fields, lines for value maps, formats of dates."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from rollout.assess.advice_model import Advice, ColumnAdvice, DateAdvice, ReasonShare, ValueAdvice
from rollout.assess.model import Assessment, EntityProfile, FieldProfile, SourceProfile
from rollout.assess.sample import listed
from rollout.mapping.date_columns import date_column
from rollout.mapping.suggest import ValueSuggestion
from rollout.model.entity import FieldSpec
from rollout.phases.context import PhaseContext
from rollout.phases.map_cells import cells
from rollout.phases.map_ready import is_confirmed
from rollout.phases.map_suggest import SourceSuggestions, suggestions
from rollout.phases.raw import RawStage
from rollout.phases.stages import engine

_AMBIGUOUS = ("date_ambiguous", "datetime_ambiguous")
_CELLS = 5_000
"""Distinct cells of a date column that are looked at: the commonest."""
MOST_VALUES = 60
"""Lines of value maps that are shown; the rest is in the mapping workbook."""


def advice(context: PhaseContext, assessment: Assessment, stages: Mapping[str, Sequence[RawStage]]) -> Advice:
    """What to suggest for an assessed project.

    Args:
        context: The project.
        assessment: Only what it leaves open is looked at again.
        stages: The raw stages by entity.
    """
    open_ones = [entity.name for entity in assessment.entities if _leaves_something(context, entity)]
    found = suggestions(context, open_ones) if open_ones else {}
    fields = {entity: context.project.spec.entities[entity].fields for entity in found}
    told = [(entity, source, one) for entity, sources in found.items() for source, one in sources.items()]
    values = [line for entity, source, one in told for line in _values(entity, source, one, fields[entity])]
    return Advice(
        columns=tuple(item for entity, source, one in told for item in _columns(entity, source, one, fields[entity])),
        values=tuple(sorted(values, key=lambda line: -line.rows)[:MOST_VALUES]),
        dates=tuple(_dates(context, assessment, stages)),
    )


def _leaves_something(context: PhaseContext, entity: EntityProfile) -> bool:
    """Whether a field is without a column while a column is without a field, or a value map has gaps."""
    fields = set(context.project.spec.entities[entity.name].fields)
    for source in entity.sources:
        mapped = {target for field in source.fields for target in field.targets}
        spare = any(field.filled and not field.targets for field in source.fields)
        gaps = any(one.code == "value_unmapped" for field in source.fields for one in field.violations)
        if gaps or (spare and fields - mapped):
            return True
    return False


def _columns(
    entity: str, source: str, found: SourceSuggestions, fields: Mapping[str, FieldSpec]
) -> Iterator[ColumnAdvice]:
    for item in found.fields:
        yield ColumnAdvice(
            entity=entity,
            source=source,
            column=item.column,
            target=item.target,
            label=fields[item.target].label,
            score=item.score,
            reasons=tuple(ReasonShare(code=reason.code, share=reason.share) for reason in item.reasons),
            transform=item.transform,
            date_format=item.date_format,
            must_confirm=item.must_confirm,
        )


def _values(
    entity: str, source: str, found: SourceSuggestions, fields: Mapping[str, FieldSpec]
) -> Iterator[ValueAdvice]:
    lines: dict[str, tuple[ValueSuggestion, ...]] = {item.target: item.values for item in found.fields} | found.values
    for name, proposed in lines.items():
        if fields[name].personal:
            continue
        for line in proposed:
            yield ValueAdvice(
                entity=entity,
                source=source,
                field=name,
                label=fields[name].label,
                raw=listed(line.raw),
                rows=line.rows,
                value=line.value,
            )


def _dates(
    context: PhaseContext, assessment: Assessment, stages: Mapping[str, Sequence[RawStage]]
) -> Iterator[DateAdvice]:
    root = context.project.workspace.stages
    with engine(root) as connection:
        for entity, source, field in _ambiguous(assessment):
            rule = next(
                rule
                for rule in context.project.mappings[entity.name, source.name].fields
                if rule.target in field.targets
            )
            if is_confirmed(rule):
                continue
            stage = next(one for one in stages[entity.name] if one.source == source.name)
            found = cells(connection, root / stage.file, rule.columns, limit=_CELLS)
            dates = date_column((cell.text, cell.rows) for cell in found)
            if dates.is_open:
                yield DateAdvice(
                    entity=entity.name,
                    source=source.name,
                    column=" | ".join(rule.columns),
                    label=field.label,
                    layouts={name: round(share, 4) for name, share in dates.shares.items()},
                    undecided=dates.undecided,
                    likely=dates.likely,
                )


def _ambiguous(assessment: Assessment) -> Iterator[tuple[EntityProfile, SourceProfile, FieldProfile]]:
    """The columns with dates that may mean several days."""
    for entity, source in assessment.sources:
        for field in source.fields:
            if any(one.code in _AMBIGUOUS for one in field.violations):
                yield entity, source, field
