"""What starting a command imports."""

from __future__ import annotations

import subprocess
import sys
from datetime import UTC, datetime

from pipeline.lake.lake import Lake
from tests.support.lakes import Said, Sent, store_answers, store_sent

MOMENT = datetime(2026, 3, 9, 12, tzinfo=UTC)


def output_of(code: str) -> str:
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout


def test_what_is_heavy_is_imported_where_it_is_used() -> None:
    heavy = ("pandas", "phonenumbers")
    code = f"import sys, assets.cli.run; print([name for name in {heavy} if name in sys.modules])"
    assert output_of(code) == "[]\n"


def test_listing_the_files_of_a_table_with_times_in_its_log_imports_no_pandas(lake: Lake) -> None:
    store_sent(lake, [Sent("1", MOMENT)])
    store_answers(lake, [(Said("1", "delivered", MOMENT), MOMENT.date())])
    code = (
        "import sys; from pathlib import Path; from pipeline.lake.lake import Lake; "
        "from pipeline.model.tables import DELIVERY_REPORTS; "
        f"lake = Lake.open(Path({str(lake.folder)!r}), mode=0o600, recorded={{}}); "
        "print(lake.snapshot(DELIVERY_REPORTS).latest, 'pandas' in sys.modules)"
    )
    assert output_of(code) == f"{MOMENT} False\n"
