"""The page that a manager opens: what happened in words, then figures that one choice of span and row filters.

One file that needs no network. In: the published DuckDB file. Out: `report.html`. May not touch: the lake.
`content` reads counts by name and bin of days (`timeline`, `cube`), `changes` and `events` find what is beyond chance,
`sentences` says it, `payload` and `document` write it down for `script/`, and `writing` puts the file in its place.
"""
