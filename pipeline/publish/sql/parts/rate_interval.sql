-- The 95 % interval of delivery_rate among sent messages: Wilson's score interval, z = 1.959963984540054, z * z =
-- 3.841458820694124, with p = delivery_rate and n = sent:
-- (p + z * z / (2 * n) -+ z * sqrt(p * (1 - p) / n + z * z / (4 * n * n))) / (1 + z * z / n).
-- It stays within 0 and 1 and holds for few messages and rates near 1 (Brown, Cai, DasGupta, Statistical Science 2001).
CASE
  WHEN delivery_rate IS NOT NULL THEN greatest(0, (
    delivery_rate + 1.920729410347062::DOUBLE / sent
    - 1.959963984540054::DOUBLE * sqrt(delivery_rate * (1 - delivery_rate) / sent + 0.960364705173531::DOUBLE / sent / sent)
  ) / (1 + 3.841458820694124::DOUBLE / sent))
END AS delivery_rate_low,
CASE
  WHEN delivery_rate IS NOT NULL THEN least(1, (
    delivery_rate + 1.920729410347062::DOUBLE / sent
    + 1.959963984540054::DOUBLE * sqrt(delivery_rate * (1 - delivery_rate) / sent + 0.960364705173531::DOUBLE / sent / sent)
  ) / (1 + 3.841458820694124::DOUBLE / sent))
END AS delivery_rate_high
