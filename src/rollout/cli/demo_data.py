"""`rollout demo-data`: legacy data of the made-up company, of any size."""

from __future__ import annotations

from pathlib import Path

import click

from rollout.cli.progress import TerminalProgress
from rollout.cli.verb import Invocation, verb
from rollout.testbed.demodata import MAX_ACCOUNTS, MIN_ACCOUNTS, generate, read_names


@verb
@click.option(
    "--accounts",
    type=click.IntRange(MIN_ACCOUNTS, MAX_ACCOUNTS),
    default=MIN_ACCOUNTS,
    show_default=True,
    help="Rows of customers; contacts are about 1.5 times as many.",
)
@click.option("--seed", type=int, default=1, show_default=True, help="The same seed gives the same bytes.")
@click.option("--out", type=click.Path(path_type=Path), help="Folder to write. Default: `legacy` beside rollout.yaml.")
@click.option(
    "--names", type=click.Path(path_type=Path), help="Build customers from these short names, one a line, UTF-8."
)
def command(invocation: Invocation, *, accounts: int, seed: int, out: Path | None, names: Path | None) -> int:
    """Make up legacy data of any size for the demo company.

    Regional customer lists (CSV, GB18030), a contact list (XLSX) and the truth about them. Replaces the folder only if
    it was written by this verb before. Everything in it is made up.
    """
    folder = out or invocation.path.parent / "legacy"
    progress = TerminalProgress()
    progress.start("making up customers", accounts, "rows")
    try:
        data = generate(
            folder,
            accounts=accounts,
            seed=seed,
            names=read_names(names) if names else (),
            advance=progress.advance,
        )
    finally:
        progress.finish()
    invocation.emit(
        data,
        text=f"{data.accounts} customers ({data.customers} distinct), {data.contacts} contacts and "
        f"{sum(data.others.values())} rows of other lists, all made up, "
        f"in {data.folder}",
    )
    return 0
