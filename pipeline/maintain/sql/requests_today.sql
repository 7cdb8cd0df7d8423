-- Grain: one row: the requests made since midnight, and how many ids a request held on average.
SELECT
  coalesce(sum(attempts), 0)::BIGINT AS requests,
  sum(ids * attempts) / sum(attempts) AS ids_per_request
FROM api_calls
WHERE requested_at >= $midnight::TIMESTAMPTZ;
