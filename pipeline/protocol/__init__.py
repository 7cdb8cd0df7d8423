"""The getReport protocol, pure: sign, batch, read the envelope, flatten its rows. No I/O, no clock."""
