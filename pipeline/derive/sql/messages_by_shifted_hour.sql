-- Grain: one row a message of the partition, with the start of the local hour of sent_at as an instant.
-- Right where all hours of the zone begin $shift microseconds before those of UTC: see hour_shifts.sql.
-- Parameter: shift.
SELECT
  *,
  make_timestamptz(epoch_us(sent_at) - (epoch_us(sent_at) + $shift) % 3600000000) AS sent_hour
FROM messages;
