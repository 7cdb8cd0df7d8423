-- Grain: one row per sent message of some partitions, in its state as of $now. A message's answers are of its day.
-- A final state is never undone: among delivered and failed the first seen stands, both beat invalid_id, and all three
-- beat the rest. Of non-final answers the latest counts; silence beyond $unknown_after_seconds makes it unknown.
-- Most messages have one answer. Only answers of the others are ranked: a row as the state of an aggregate costs ten
-- times as much as its key. Two messages that share a hash are ranked too, with the same result.
-- `answers` is read twice: keeping it costs 140 MB for a million answers.
-- An answer later than $latest was stored by a clock that was ahead: nobody knows when it came. Of answers that are not
-- final, and for last_polled_at, it counts only where there is no other.
-- Prices are those of the latest answer with a pricedetail; null where a value is not as documented: decimals as text or
-- number, currency as text, count as whole number. Only priced answers of messages with several answers are ranked.
-- Parameters: now, unknown_after_seconds, latest.
WITH answers AS NOT MATERIALIZED (
  SELECT
    sent_date,
    app_id,
    msg_id,
    CASE WHEN status = 'invalid_id' THEN 1 WHEN status IN (/* final_statuses */) THEN 0 ELSE 2 END AS class,
    status,
    receive_time,
    number,
    country,
    1 AS poll_count,
    observed_at AS first_polled_at,
    observed_at AS last_polled_at,
    observed_at > $latest::TIMESTAMPTZ AS is_ahead,
    call_id,
    hash(sent_date, app_id, msg_id) AS key
  FROM delivery_reports
),
several AS (
  SELECT hash(sent_date, app_id, msg_id) AS key
  FROM delivery_reports
  GROUP BY key
  HAVING count(*) > 1
),
states AS (
  SELECT * EXCLUDE (key, call_id, is_ahead)
  FROM answers
  ANTI JOIN several USING (key)
  UNION ALL BY NAME
  SELECT
    sent_date,
    app_id,
    msg_id,
    min(class) AS class,
    unnest(arg_min(
      {'status': status, 'receive_time': receive_time},
      -- Within the best class: the first answer if it is final, else the latest.
      {'class': class, 'is_ahead': class = 2 AND is_ahead, 'age': CASE WHEN class < 2 THEN 1 ELSE -1 END * epoch_us(first_polled_at), 'call': call_id}
    )),
    arg_max(number, last_polled_at) FILTER (WHERE number IS NOT NULL) AS number,
    arg_max(country, last_polled_at) FILTER (WHERE country IS NOT NULL) AS country,
    count(*) AS poll_count,
    min(first_polled_at) AS first_polled_at,
    coalesce(max(last_polled_at) FILTER (WHERE NOT is_ahead), max(last_polled_at)) AS last_polled_at
  FROM answers
  SEMI JOIN several USING (key)
  GROUP BY sent_date, app_id, msg_id
),
priced AS NOT MATERIALIZED (
  SELECT
    sent_date,
    app_id,
    msg_id,
    observed_at,
    call_id,
    extra,
    hash(sent_date, app_id, msg_id) AS key
  FROM delivery_reports
  WHERE
    contains(extra, 'pricedetail')
    AND CASE WHEN json_valid(extra) THEN json_type(extra, '$.pricedetail') <> 'NULL' ELSE false END
),
details AS (
  SELECT sent_date, app_id, msg_id, extra
  FROM priced
  ANTI JOIN several USING (key)
  UNION ALL BY NAME
  SELECT sent_date, app_id, msg_id, extra
  FROM priced
  SEMI JOIN several USING (key)
  QUALIFY row_number() OVER (PARTITION BY sent_date, app_id, msg_id ORDER BY observed_at DESC, call_id DESC) = 1
),
price_texts AS (
  SELECT
    sent_date,
    app_id,
    msg_id,
    json_extract_string(extra, ['$.pricedetail.price', '$.pricedetail.pay', '$.pricedetail.chargeCnt']) AS texts,
    CASE
      WHEN json_type(extra, '$.pricedetail.currency') = 'VARCHAR' THEN json_extract_string(extra, '$.pricedetail.currency')
    END AS currency
  FROM details
),
prices AS (
  SELECT
    sent_date,
    app_id,
    msg_id,
    TRY_CAST(
      regexp_extract(trim(texts[1]), '^[+-]?[0-9]+([.][0-9]+)?([eE][+-]?[0-9]{1,2})?$') AS DECIMAL(24, 12)
    ) AS price,
    TRY_CAST(
      regexp_extract(trim(texts[2]), '^[+-]?[0-9]+([.][0-9]+)?([eE][+-]?[0-9]{1,2})?$') AS DECIMAL(24, 12)
    ) AS pay,
    nullif(trim(currency), '') AS currency,
    TRY_CAST(regexp_extract(trim(texts[3]), '^[0-9]+$') AS BIGINT) AS charge_count
  FROM price_texts
),
-- Of several reports the latest counts, of a network the latest that agrees with the state: a push is unsigned.
pushed AS (
  SELECT
    sent_date,
    app_id,
    msg_id,
    arg_max(reason, received_at) FILTER (WHERE status = 'failed') AS failure_reason,
    map_from_entries(list({'key': status, 'value': network} ORDER BY received_at DESC, network)) AS networks
  FROM (
    SELECT
      sent_date,
      app_id,
      msg_id,
      status,
      max(received_at) AS received_at,
      arg_max(reason, received_at) AS reason,
      arg_max(mcc || '-' || mnc, received_at) AS network
    FROM pushed_reports
    GROUP BY sent_date, app_id, msg_id, status
  )
  GROUP BY sent_date, app_id, msg_id
),
judged AS (
  SELECT
    sent.app_id,
    sent.msg_id,
    coalesce(sent.number, states.number) AS number,
    coalesce(sent.country, states.country) AS country,
    sent.sender_id,
    sent.order_id,
    sent.sent_at,
    sent.sent_date,
    CASE
      WHEN states.class IS NULL THEN 'pending'
      WHEN states.class < 2 THEN states.status
      WHEN epoch_us($now::TIMESTAMPTZ) - epoch_us(sent.sent_at) > $unknown_after_seconds * 1e6 THEN 'unknown'
      ELSE states.status
    END AS delivery_status,
    coalesce(states.class < 2, false) AS is_final,
    CASE WHEN delivery_status <> 'unknown' THEN states.receive_time END AS receive_time,
    coalesce(states.poll_count, 0) AS poll_count,
    states.first_polled_at,
    states.last_polled_at,
    sent.labels,
    prices.price,
    prices.pay,
    prices.currency,
    prices.charge_count,
    CASE WHEN delivery_status = 'failed' THEN pushed.failure_reason END AS failure_reason,
    coalesce(pushed.networks[delivery_status], map_values(pushed.networks)[1]) AS network
  FROM sent_messages AS sent
  LEFT JOIN states USING (sent_date, app_id, msg_id)
  LEFT JOIN prices USING (sent_date, app_id, msg_id)
  LEFT JOIN pushed USING (sent_date, app_id, msg_id)
)
SELECT
  judged.*,
  networks.name AS network_name,
  (epoch_us(receive_time) - epoch_us(sent_at)) / 1e6 AS latency_seconds
FROM judged
LEFT JOIN networks USING (network);
