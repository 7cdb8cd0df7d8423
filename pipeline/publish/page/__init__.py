"""The page that a manager opens: delivery by day, country and sender, latency, backlog, failures, changes.

One file that needs no network. In: the published DuckDB file. Out: `report.html`. May not touch: the lake.
`content` reads the rows, `document` makes HTML, `writing` puts the file in its place; `charts/` holds one Vega-Lite
chart per file, `vega/` the library that draws them, as npm has it.
"""
