-- Grain: one row per message with an answer that has pricedetail; the latest such answer counts.
-- Null where a value is not as documented: decimals as text or number, currency as text, count as whole number.
WITH priced AS (
  SELECT
    app_id,
    msg_id,
    sent_date,
    observed_at,
    call_id,
    TRY_CAST(extra AS JSON) -> 'pricedetail' AS detail
  FROM delivery_reports
  WHERE contains(extra, 'pricedetail')
),
latest AS (
  SELECT *
  FROM priced
  WHERE json_type(detail) <> 'NULL'
  QUALIFY row_number() OVER (PARTITION BY sent_date, app_id, msg_id ORDER BY observed_at DESC, call_id DESC) = 1
),
parsed AS (
  SELECT
    *,
    regexp_extract(trim(detail ->> 'price'), '^[+-]?[0-9]+([.][0-9]+)?([eE][+-]?[0-9]{1,2})?$') AS price_text,
    regexp_extract(trim(detail ->> 'pay'), '^[+-]?[0-9]+([.][0-9]+)?([eE][+-]?[0-9]{1,2})?$') AS pay_text,
    regexp_extract(trim(detail ->> 'chargeCnt'), '^[0-9]+$') AS charge_text
  FROM latest
)
SELECT
  parsed.app_id,
  parsed.msg_id,
  parsed.sent_date,
  messages.country,
  messages.sender_id,
  messages.delivery_status,
  TRY_CAST(parsed.price_text AS DECIMAL(24, 12)) AS price,
  TRY_CAST(parsed.pay_text AS DECIMAL(24, 12)) AS pay,
  CASE
    WHEN json_type(parsed.detail, '$.currency') = 'VARCHAR' THEN nullif(trim(parsed.detail ->> 'currency'), '')
  END AS currency,
  TRY_CAST(parsed.charge_text AS BIGINT) AS charge_count,
  parsed.observed_at
FROM parsed
LEFT JOIN messages
  ON
    parsed.sent_date = messages.sent_date
    AND parsed.app_id = messages.app_id
    AND parsed.msg_id = messages.msg_id;
