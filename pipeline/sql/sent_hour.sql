-- Start of the local hour of sent_at as an instant. date_trunc on TIMESTAMPTZ would merge the two hours that
-- an hour becomes when clocks go back; cutting the local time and taking its own offset off again does not.
to_timestamp(
  (
    epoch_us(sent_at AT TIME ZONE $zone)
    - epoch_us(sent_at AT TIME ZONE $zone) % 3600000000
    - (epoch_us(sent_at AT TIME ZONE $zone) - epoch_us(sent_at))
  ) // 1000000
)
