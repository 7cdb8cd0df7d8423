"""The page that a manager opens: delivery by day, country and sender, latency, backlog, failures, what changed.

One self-contained file that needs no network. `figures` asks the published DuckDB file, `document` makes HTML of
the answers, `writing` swaps the file in. `charts/` holds one Vega-Lite chart a file, `vega/` the library that draws
them, as npm has it. What does not belong here: a number that the published file does not give.
"""

from pipeline.publish.page.writing import write_page

__all__ = ["write_page"]
