-- Of messages of which pay is known, within one currency. Sums of pay are exact; pay_per_delivered = pay / delivered.
count(*) AS messages,
sum(charge_count)::BIGINT AS parts,
count(*) FILTER (WHERE delivery_status = 'delivered') AS delivered,
count(*) FILTER (WHERE delivery_status = 'failed') AS failed,
sum(pay) AS pay,
coalesce(sum(pay) FILTER (WHERE delivery_status = 'failed'), 0) AS pay_on_failed,
sum(pay)::DOUBLE / nullif(count(*) FILTER (WHERE delivery_status = 'delivered'), 0) AS pay_per_delivered
