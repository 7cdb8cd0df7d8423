-- Grain: one row per account, by fingerprint, whose balance was ever stored.
SELECT DISTINCT account
FROM account_balance;
