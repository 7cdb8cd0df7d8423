-- Grain: one row a message for which an answer brought pricedetail; of several answers the latest counts.
-- What is not as documented (decimal as text or number, currency as text, count as whole number) is null.
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
told AS (
  SELECT
    *,
    regexp_extract(trim(detail ->> 'price'), '^[+-]?[0-9]+([.][0-9]+)?([eE][+-]?[0-9]{1,2})?$') AS price_text,
    regexp_extract(trim(detail ->> 'pay'), '^[+-]?[0-9]+([.][0-9]+)?([eE][+-]?[0-9]{1,2})?$') AS pay_text,
    regexp_extract(trim(detail ->> 'chargeCnt'), '^[0-9]+$') AS charge_text
  FROM latest
)
SELECT
  told.app_id,
  told.msg_id,
  told.sent_date,
  messages.country,
  messages.sender_id,
  messages.delivery_status,
  TRY_CAST(told.price_text AS DECIMAL(24, 12)) AS price,
  TRY_CAST(told.pay_text AS DECIMAL(24, 12)) AS pay,
  CASE
    WHEN json_type(told.detail, '$.currency') = 'VARCHAR' THEN nullif(trim(told.detail ->> 'currency'), '')
  END AS currency,
  TRY_CAST(told.charge_text AS BIGINT) AS charge_count,
  told.observed_at
FROM told
LEFT JOIN messages
  ON
    told.sent_date = messages.sent_date
    AND told.app_id = messages.app_id
    AND told.msg_id = messages.msg_id;
