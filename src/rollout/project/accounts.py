"""Which operating-system account a server runs as.

PostgreSQL refuses to run as root. Started by root, it runs as `postgres` or, where there is none, as `nobody`. That
account often cannot even reach a data directory below a 0700 folder of root. Opening those folders to everyone would be
the wrong way out, so the server keeps two capabilities that let it pass (CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH) through
util-linux' ``setpriv``, and no other; only where it needs them.
"""

from __future__ import annotations

import os
import pwd
import shutil
import stat
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from rollout.errors import ConfigError, Fatal

_CAPABILITIES = "+dac_override,+dac_read_search"
_UNPRIVILEGED = ("postgres", "nobody")


@dataclass(frozen=True, slots=True)
class Account:
    """Runs a server's programs: as ourselves, or for root as somebody else."""

    uid: int | None = None
    gid: int | None = None
    prefix: tuple[str, ...] = ()
    """Command that drops root's rights but the two capabilities; empty: the process changes its user itself."""

    def give(self, path: Path) -> None:
        """Make ``path`` the account's own."""
        if self.uid is not None and self.gid is not None:
            os.chown(path, self.uid, self.gid)

    def run(self, command: Sequence[str | Path], *, timeout_s: float) -> subprocess.CompletedProcess[str]:
        """Run a program to its end, in ``/``, with an environment free of the caller's PG… and locale settings."""
        environment = {
            name: value for name, value in os.environ.items() if not name.startswith(("PG", "LC_", "LANG", "ROLLOUT_"))
        }
        change_user = not self.prefix and self.uid is not None
        try:
            return subprocess.run(  # noqa: S603 - our own programs, no shell
                [*self.prefix, *command],
                capture_output=True,
                text=True,
                errors="replace",
                check=False,
                timeout=timeout_s,
                cwd="/",
                env={**environment, "LC_ALL": "C"},
                user=self.uid if change_user else None,
                group=self.gid if change_user else None,
                extra_groups=[] if change_user else None,
            )
        except subprocess.TimeoutExpired as error:
            raise Fatal(f"{Path(command[0]).name} did not end within {timeout_s:.0f} s") from error
        except OSError as error:
            raise ConfigError(f"{Path(command[0]).name} cannot be run: {error}") from error


def account_for_server(*places: Path) -> Account:
    """The account that can run a server whose data and programs lie at ``places``.

    Raises:
        ConfigError: We are root, and no account can be used or could reach the places.
    """
    if os.geteuid() != 0:
        return Account()
    entry = _unprivileged()
    if all(_open_to_everyone(place) for place in places):
        return Account(uid=entry.pw_uid, gid=entry.pw_gid)
    setpriv = shutil.which("setpriv")
    if setpriv is None:
        closed = next(place for place in places if not _open_to_everyone(place))
        raise ConfigError(
            f"PostgreSQL does not run as root, and the account '{entry.pw_name}' cannot reach this folder",
            where=str(closed),
            hint="run as another user, install util-linux (setpriv), move the workspace out of folders closed to "
            "others, or set ROLLOUT_DATABASE_URL to a running server",
        )
    prefix = (
        setpriv,
        f"--reuid={entry.pw_uid}",
        f"--regid={entry.pw_gid}",
        "--clear-groups",
        # Else access(2), by which initdb and pg_ctl look for their neighbours, takes no notice of the capabilities.
        "--securebits=+no_setuid_fixup",
        f"--bounding-set=-all,{_CAPABILITIES}",
        f"--inh-caps=-all,{_CAPABILITIES}",
        f"--ambient-caps=-all,{_CAPABILITIES}",
        "--",
    )
    account = Account(uid=entry.pw_uid, gid=entry.pw_gid, prefix=prefix)
    probe = account.run([shutil.which("true") or "/bin/true"], timeout_s=10)
    if probe.returncode != 0:
        raise ConfigError(
            f"PostgreSQL does not run as root, and its rights cannot be handed over: {probe.stderr.strip()}",
            hint="run as another user, or set ROLLOUT_DATABASE_URL to a running server",
        )
    return account


def _unprivileged() -> pwd.struct_passwd:
    for name in _UNPRIVILEGED:
        try:
            return pwd.getpwnam(name)
        except KeyError:
            continue
    raise ConfigError(
        f"PostgreSQL does not run as root, and there is no account {' or '.join(_UNPRIVILEGED)}",
        hint="make an account 'postgres', run as another user, or set ROLLOUT_DATABASE_URL to a running server",
    )


def _open_to_everyone(place: Path) -> bool:
    """Whether any account can pass through every folder down to ``place``."""
    resolved = place.resolve()
    return all(folder.stat().st_mode & stat.S_IXOTH for folder in (resolved, *resolved.parents))
