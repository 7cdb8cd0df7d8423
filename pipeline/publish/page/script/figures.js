// Data, words, figures, and the address that keeps the reader's choice. No element of the page here.
const data = JSON.parse(document.getElementById("data").textContent);
const Z = 1.959964; // 95 % of a normal distribution lie within
const LONGEST_NAME = 60;
const WEEKDAYS = ["Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"];
const MONTHS = [
  "January", "February", "March", "April", "May", "June",
  "July", "August", "September", "October", "November", "December",
];
let choice; // { span, key, row }: place of the span; dimension and place of the row, null for everything

// Words
const count = (number) => Math.round(number).toLocaleString("en-US");
const percent = (share, digits = 1) => (share == null ? "–" : `${(100 * share).toFixed(digits)}%`);
const signed = (number, digits = 1) => `${number < 0 ? "−" : "+"}${Math.abs(number).toFixed(digits)}`;
const amount = (number) => number.toLocaleString("en-US", { minimumFractionDigits: 2, maximumFractionDigits: 2 });
const short = (name) => (name.length > LONGEST_NAME ? `${name.slice(0, LONGEST_NAME - 1)}…` : name);
const dayWords = (day, withYear = false) => {
  const [year, month, date] = day.split("-").map(Number);
  return `${date} ${MONTHS[month - 1]}${withYear ? ` ${year}` : ""}`;
};
const weekday = (day) => WEEKDAYS[(new Date(`${day}T12:00:00Z`).getUTCDay() + 6) % 7];
const rangeWords = (first, last) => {
  if (first === last) return dayWords(last, true);
  const isSameMonth = first.slice(0, 7) === last.slice(0, 7);
  const start = isSameMonth ? String(Number(first.slice(8))) : dayWords(first, first.slice(0, 4) !== last.slice(0, 4));
  return `${start} to ${dayWords(last, true)}`;
};
const spanWords = () => {
  const { days, start, end } = span();
  if (!data.bins.length) return "no day yet";
  const range = rangeWords(data.bins[end - 1][0], data.bins[start][1]);
  if (!days) return `no day is complete yet, ${range} so far`;
  return `${days === 1 ? "1 complete day" : `${days} complete days`}, ${range}`;
};
const beforeWords = () => `${span().days} days before`;
const against = (now, before) => `${signed((100 * (now - before)) / before, 0)}% against the ${beforeWords()}`;

// Figures. A list of zeros alone comes as 0; bins and groups are the newest first.
const at = (list, index) => (list ? list[index] : 0);
const sum = (list, start, end) => {
  let total = 0;
  if (list) for (let bin = start; bin < end; bin++) total += list[bin];
  return total;
};
const spanAt = (place) => {
  const [days, start, end, beforeEnd, isAll] = data.spans[place];
  return { days, start, end, beforeEnd, isAll: Boolean(isAll) };
};
const span = () => spanAt(choice.span);
const rateOf = (delivered, sent, pending) => (sent > (pending || 0) ? delivered / sent : null); // none if never asked
const wilson = (hits, total, z = Z) => {
  const share = hits / total;
  const middle = share + (z * z) / (2 * total);
  const half = z * Math.sqrt((share * (1 - share)) / total + (z * z) / (4 * total * total));
  const scale = 1 + (z * z) / total;
  return [Math.max(0, (middle - half) / scale), Math.min(1, (middle + half) / scale)];
};
// Newcombe's interval of a difference of two shares (Statistics in Medicine 17, 1998, method 10)
const isBeyondChance = (hits, total, hitsBefore, totalBefore, z) => {
  const now = hits / total, before = hitsBefore / totalBefore;
  const [low, high] = wilson(hits, total, z), [lowBefore, highBefore] = wilson(hitsBefore, totalBefore, z);
  const least = now - before - Math.hypot(now - low, highBefore - before);
  const most = now - before + Math.hypot(high - now, before - lowBefore);
  return least > 0 || most < 0;
};
// A series over the span, and [sent, delivered, failed] of the span before
const measured = (series) => {
  const { start, end, beforeEnd } = span();
  const [sent, delivered, failed, pending] = [0, 1, 2, 3].map((n) => sum(at(series, n), start, end));
  const before = beforeEnd == null ? null : [0, 1, 2].map((n) => sum(at(series, n), end, beforeEnd));
  const rate = rateOf(delivered, sent, pending);
  return { sent, delivered, failed, rate, before: before && before[0] ? before : null };
};
// Counts of groups of bins, each with its first bin: of the span, and of the one before if its messages are all kept
const grouped = (series, starts, size) => {
  const { start, end, beforeEnd } = span();
  const over = (from, to) => Array.from({ length: size }, (_, n) => {
    let total = 0;
    starts.forEach((first, group) => {
      if (first >= from && first < to) total += at(at(series, group), n);
    });
    return total;
  });
  const before = beforeEnd == null || beforeEnd > data.kept ? null : over(end, beforeEnd);
  return { now: over(start, end), before: before && before[0] ? before : null };
};
// [part, sent] of each bin of the span
const pairsOf = (series, part) => {
  const { start, end } = span();
  return Array.from({ length: end - start }, (_, n) => [at(at(series, part), start + n), at(at(series, 0), start + n)]);
};

// Rows of a dimension under the choice; the last row of a split is the rest
const dimension = (key) => data.dimensions.find((one) => one.key === key);
const splitOf = (one, other) => {
  const size = Math.min(dimension(one).values.length, data.joint);
  const width = Math.min(dimension(other).values.length, data.joint) + 1;
  const lines = data.pairs[`${one}/${other}`], back = data.pairs[`${other}/${one}`];
  if (lines === undefined && back === undefined) return null;
  const cell = (row, n) => (lines === undefined ? at(at(back, n), row) : at(at(lines, row), n));
  return { size, rows: (row) => Array.from({ length: width }, (_, n) => cell(row, n)) };
};
const rowsOf = (one) => {
  const named = (series, row) => ({ row, name: one.names[row], series, isOne: row < one.values.length });
  if (!choice.key) return data.series[one.key].map(named);
  if (choice.key === one.key) return [named(data.series[one.key][choice.row], choice.row)];
  const found = splitOf(choice.key, one.key);
  if (!found || choice.row >= found.size) return null;
  return found.rows(choice.row).map((series, row, { length }) => {
    const isOne = row < length - 1;
    return { row, name: isOne ? one.names[row] : "all others", series, isOne };
  });
};
const chosenSeries = () => (choice.key ? data.series[choice.key][choice.row] : data.series.all[0]);
// The chosen row of a table by dimension: 0 if it is empty, undefined if it is not kept
const chosenOf = (table) => {
  const rows = table[choice.key || "all"];
  return rows === undefined ? undefined : at(rows, choice.key ? choice.row : 0);
};
const told = () => data.texts[`${choice.span}/${choice.key ? `${choice.key}/${choice.row}` : ""}`];

// The address: #span=28&by=country&is=BR; without `is` it is the row that has no value
const spanName = ({ days, isAll }) => (isAll ? "all" : String(days));
const readChoice = () => {
  const asked = new URLSearchParams(location.hash.slice(1));
  const place = data.spans.findIndex((_, n) => spanName(spanAt(n)) === asked.get("span"));
  const one = dimension(asked.get("by"));
  const row = one ? one.values.indexOf(asked.get("is")) : -1;
  return { span: place < 0 ? data.first : place, key: row < 0 ? null : one.key, row: Math.max(row, 0) };
};
const go = (changes) => {
  const next = { ...choice, ...changes };
  const asked = new URLSearchParams({ span: spanName(spanAt(next.span)) });
  if (next.key) {
    asked.set("by", next.key);
    const value = dimension(next.key).values[next.row];
    if (value != null) asked.set("is", value);
  }
  location.hash = asked.toString();
};
