"""Use case: publish anew what the lake holds, file and page, after a change that no run of the chain made.

What belongs here: when that is needed. What does not: the file (`database.py`) and the page (`page/writing.py`).
"""

from __future__ import annotations

from datetime import datetime

from pipeline.lake.lake import Lake
from pipeline.model.settings import Settings
from pipeline.publish.bucket import published_file
from pipeline.publish.database import PUBLISHING, publish
from pipeline.publish.page.writing import write_page


def publish_again(*, lake: Lake, settings: Settings, now: datetime) -> None:
    """Publish the lake's newest versions if anything was published before.

    Raises:
        LakeError: the lake can't be read, or the file or the page can't be written.
    """
    if published_file(settings):
        publish(lake=lake, settings=settings, now=now)
        with lake.lock(PUBLISHING):  # two runs at once would write the same page
            write_page(settings=settings)
