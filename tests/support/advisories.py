"""Audit the pinned versions for known vulnerabilities, as a step of `make check`: `python -m tests.support.advisories`.

Where no index of advisories answers, nothing is audited: that is said in one line, and is no failure, so that the check
works without a network. What was found is one.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any, Final

PINNED: Final = Path(__file__).parents[2] / "constraints.txt"
_KNOWN: Final = "requests=="
"""Begins the pin of a package that each index knows: asked for alone first, since each request may wait in vain."""
_PROBE_SECONDS: Final = 15.0
_AUDIT_SECONDS: Final = 300.0


def audit(pinned: Path = PINNED) -> tuple[int, str]:
    """Return the exit status, 1 if a pinned version has an advisory, and what to say."""
    pins = [line for line in pinned.read_text("utf-8").splitlines() if "==" in line]
    known = next(pin for pin in pins if pin.startswith(_KNOWN))
    if not any("vulns" in package for package in _audited([known], seconds=_PROBE_SECONDS)):
        return 0, f"advisories: nothing was audited, since no index of advisories answers for {known}"
    packages = _audited(pins, seconds=_AUDIT_SECONDS)
    found = [
        f"{package['name']} {package['version']}: {_words(package)}" for package in packages if package.get("vulns")
    ]
    if not packages:
        return 1, "advisories: the audit broke off; repeat it"
    skipped = [package["name"] for package in packages if "vulns" not in package]
    said = f"advisories: {len(packages) - len(skipped)} of {len(pins)} pinned versions audited, {len(found)} with one"
    unknown = [f"not known to the index: {', '.join(skipped)}"] if skipped else []
    return min(1, len(found)), "\n".join([said, *unknown, *found])


def _words(package: dict[str, Any]) -> str:
    return ", ".join(
        f"{each['id']} (fixed in {', '.join(each['fix_versions']) or 'no version'})" for each in package["vulns"]
    )


def _audited(pins: list[str], *, seconds: float) -> list[dict[str, Any]]:
    """Return what pip-audit says of each version; nothing where it can't ask or takes too long."""
    with tempfile.TemporaryDirectory() as folder:
        requirements = Path(folder) / "requirements.txt"
        requirements.write_text("\n".join(pins) + "\n", "utf-8")
        options = ["--no-deps", "--disable-pip", "--progress-spinner", "off", "--timeout", "3", "--cache-dir", folder]
        command = [sys.executable, "-m", "pip_audit", "--format", "json", "--requirement", str(requirements), *options]
        try:
            done = subprocess.run(command, capture_output=True, text=True, timeout=seconds, check=False)
            return list(json.loads(done.stdout)["dependencies"])
        except (subprocess.TimeoutExpired, ValueError):
            return []


if __name__ == "__main__":
    status, said = audit()
    sys.stdout.write(f"{said}\n")
    sys.exit(status)
