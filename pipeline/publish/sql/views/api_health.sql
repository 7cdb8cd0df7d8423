-- Grain: one row per app and hour (UTC) of asking. requests_per_batch = requests / batches.
-- ids_per_request: how full a request was, on average; at most SMS_BATCH_SIZE.
SELECT
  to_timestamp(epoch_us(requested_at) // 3600000000 * 3600) AS hour,
  app_id,
  count(*) AS batches,
  sum(attempts)::BIGINT AS requests,
  sum(ids)::BIGINT AS ids,
  count(*) FILTER (WHERE outcome = 'ok') AS ok,
  count(*) FILTER (WHERE outcome = 'mismatch') AS mismatch,
  count(*) FILTER (WHERE outcome = 'split') AS split,
  count(*) FILTER (WHERE outcome = 'gave_up') AS gave_up,
  count(*) FILTER (WHERE outcome = 'refused') AS refused,
  sum(attempts) / count(*) AS requests_per_batch,
  sum(ids * attempts) / sum(attempts) AS ids_per_request,
  quantile_cont(elapsed_ms, 0.50) AS elapsed_p50_ms,
  quantile_cont(elapsed_ms, 0.95) AS elapsed_p95_ms
FROM api_calls
GROUP BY ALL
ORDER BY hour, app_id;
