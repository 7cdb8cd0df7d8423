// The page: one choice of span and row moves every section.
const ROWS_AT_FIRST = 10;
const Z_OF_THREE = 2.39398; // 95 % over three comparisons (Bonferroni)
const STATES = {
  unknown: "no answer", invalid_id: "refused", sending: "under way", not_found: "not found", pending: "never asked",
};
const shownWhole = new Set();

const showControls = () => {
  document.getElementById("controls").hidden = false;
  place("spans", data.spans.map((_, number) => {
    const { days, isAll } = spanAt(number);
    const input = make("input", {
      type: "radio", name: "span", value: number, id: `span-${number}`, checked: number === choice.span,
    });
    input.addEventListener("change", () => go({ span: number }));
    return make("label", {}, input, make("span", {}, isAll ? "all days" : `${days} days`));
  }));
  const chosen = document.getElementById("chosen");
  chosen.hidden = !choice.key;
  if (!choice.key) return;
  const one = dimension(choice.key);
  chosen.replaceChildren(
    make("button", { class: "chip", id: "back", type: "button", onclick: () => go({ key: null }) },
      `${one.one}: `, make("bdi", {}, short(one.names[choice.row])), " ×",
      make("span", { class: "unseen" }, " show everything again")));
};

const showStory = () => {
  const nothing = [["Nothing changed beyond chance here", "the figures below are of this row alone."]];
  const lines = told() || nothing;
  place("when", span().days ? `What happened in ${spanWords()}` : `What happened: ${spanWords()}`);
  place("sentences", lines.map(([head, detail]) => make("li", {}, make("strong", {}, `${head}:`), ` ${detail}`)));
  document.getElementById("story").classList.toggle("news", lines.some(([, , newest, end]) => end > newest));
};

const tile = (title, figure, words, line) => make("div", { class: "tile" },
  make("h2", {}, title), make("p", { class: "figure" }, figure), make("p", {}, words), line);
const rateTile = (series, now) => {
  const none = span().days ? "no equal span before" : "so far: no day is complete yet";
  const words = now.before
    ? [change(now, Z), ` points; ${percent(now.before[1] / now.before[0])} in the ${beforeWords()}`]
    : none;
  return tile("Delivery rate", percent(now.rate), words, spark(pairsOf(series, 1)));
};
const speedTile = () => {
  const { now: [timed, , fast], before } = grouped(chosenOf(data.speed), data.ages, 4);
  if (!timed) return null;
  const { start, end } = span();
  const days = Array.from({ length: end - start }, (_, n) => [at(data.fast[1], start + n), at(data.fast[0], start + n)]);
  const words = before ? `${percent(before[2] / before[0])} in the ${beforeWords()}` : "of delivered messages";
  return tile("Within 30 seconds", percent(fast / timed), words, choice.key ? null : spark(days));
};
const spendTile = ([currency, amounts]) => {
  const { now: [pay, lost], before } = grouped(chosenOf(amounts), data.ages, 2);
  const { start, end } = span();
  const days = data.paid[currency].slice(start, end).map((paid) => [paid, 1]);
  const words = `${amount(lost)} on messages that failed${before ? `; ${against(pay, before[0])}` : ""}`;
  return tile("Spend", `${amount(pay)} ${currency}`, words, choice.key ? null : spark(days, { isShare: false }));
};
const showTiles = () => {
  if (!data.bins.length) return;
  const series = chosenSeries(), now = measured(series), { before } = now;
  const failed = `${percent(now.sent ? now.failed / now.sent : null)} of sent`;
  place("tiles",
    rateTile(series, now),
    tile("Sent", count(now.sent), before ? against(now.sent, before[0]) : "",
      spark(pairsOf(series, 0), { isShare: false })),
    tile("Failed", count(now.failed), before ? `${failed}, ${percent(before[2] / before[0])} before` : failed,
      spark(pairsOf(series, 2))),
    speedTile(),
    Object.entries(data.spend).map(spendTile));
};

const showDays = () => {
  if (!data.bins.length) return;
  const days = shownDays();
  if (!days.length) return place("days", section("Delivery rate by day", {}, note("No message in these days.")));
  const rows = days.map(({ first, last, isOpen, sent, delivered, rate }) => make("tr", {},
    rowHead(first === last ? first : `${first} to ${last}`, isOpen && make("span", { class: "chance" }, " not complete")),
    cell(count(sent)), cell(count(delivered)), cell(percent(rate, 2))));
  const numbers = table(["Day", "Sent", "Delivered", "Rate"], rows, "by day");
  place("days", section("Delivery rate by day", {},
    make("div", { id: "chart" }, dayChart(days)), make("details", {}, make("summary", {}, "The numbers"), numbers)));
};

const nameButton = (one, { row, name, isOne }) => {
  const words = make("bdi", { title: name.length > LONGEST_NAME && name }, short(name));
  if (!isOne) return words;
  const isChosen = choice.key === one.key;
  const press = () => go(isChosen ? { key: null } : { key: one.key, row });
  const attributes = { type: "button", id: `row-${one.key}-${row}`, "aria-pressed": String(isChosen), onclick: press };
  return make("button", attributes, words);
};
const rowLine = (one, row, isMore) => {
  const limits = row.rate == null ? [] : wilson(row.delivered, row.sent).map((limit) => percent(limit, 0));
  const interval = make("span", { class: "interval" }, limits.join("–").replace("%", ""));
  return make("tr", { class: isMore && "more" },
    rowHead(nameButton(one, row)),
    cell(count(row.sent)),
    cell(percent(row.rate), row.rate != null && [" ", interval]),
    cell(change(row, one.limit)),
    cell(spark(pairsOf(row.series, 1))));
};
// A section whose rows beyond the first ones are shown on demand
const long = (one, size, made) => {
  const isWhole = shownWhole.has(one.key), isLong = size > ROWS_AT_FIRST;
  const toggle = () => {
    if (isWhole) shownWhole.delete(one.key);
    else shownWhole.add(one.key);
    render();
  };
  const words = isWhole ? "Show fewer" : `Show all ${count(size)}`;
  return section(one.title, { class: isLong && "long", "data-rows": one.key },
    made({ class: isWhole && "all" }),
    isLong && make("button", { type: "button", class: "link", id: `more-${one.key}`, onclick: toggle }, words));
};
const notSplit = (one) => (
  section(one.title, {}, note(`This row is not split by ${one.one} on the page; the database has every message.`)));
const rowsSection = (one) => {
  const rows = rowsOf(one);
  if (!rows) return notSplit(one);
  const lines = rows
    .map((row) => ({ ...row, ...measured(row.series) }))
    .filter((row) => row.sent || row.before)
    .sort((a, b) => b.isOne - a.isOne || b.sent - a.sent)
    .map((row, n) => rowLine(one, row, n >= ROWS_AT_FIRST));
  if (!lines.length) return section(one.title, {}, note("No message."));
  return long(one, lines.length, (looks) => (
    table([one.one, "Messages", "Rate, 95%", "Points", "Trend"], lines, `by ${one.one}`, looks)));
};

const hoursSection = () => {
  const groups = chosenOf(data.hours), title = "Hour and weekday";
  if (groups === undefined) return section(title, {}, note("Kept for the largest rows alone; the database has every hour."));
  if (!groups) return section(title, {}, note("No message."));
  const { start, end } = span();
  const cells = Array.from({ length: 168 }, (_, hour) => {
    const found = { sent: 0, delivered: 0 };
    data.hourAges.forEach((first, group) => {
      if (first < start || first >= end) return;
      found.sent += at(at(groups[group], 0), hour);
      found.delivered += at(at(groups[group], 1), hour);
    });
    return found;
  });
  return section(title, {}, heatTable(cells));
};

const speedSection = () => {
  const { now: [timed, ...within], before } = grouped(chosenOf(data.speed), data.ages, 4);
  if (!timed) return section("How fast", {}, note("No time of receipt in these days."));
  const rows = ["5 seconds", "30 seconds", "5 minutes"].map((words, n) => make("tr", {},
    rowHead(`within ${words}`),
    cell(percent(within[n] / timed)),
    cell(change({ sent: timed, delivered: within[n], before: before && [before[0], before[n + 1]] }, Z_OF_THREE)),
    cell(meter(within[n] / timed))));
  return section("How fast", {},
    table(["Delivered", "Share", "Points", ""], rows, "how fast"),
    note(`Of ${count(timed)} delivered messages with a time of receipt.`));
};

const failingRows = () => {
  const [country, sender] = ["country", "sender_id"].map(dimension);
  if (!choice.key && country && sender) {
    const lines = data.pairs["country/sender_id"] || [];
    const name = (one, row, rows) => (row < rows.length - 1 ? one.names[row] : "others");
    const found = lines.flatMap((line, row) => (line || []).map((series, n) => ({
      name: [name(country, row, lines), name(sender, n, line)], ...measured(series),
    })));
    return ["country and sender", found];
  }
  const one = data.dimensions.find(({ key, isOutcome }) => key !== choice.key && !isOutcome);
  return one ? [one.one, (rowsOf(one) || []).map((row) => ({ name: [row.name], ...measured(row.series) }))] : ["", []];
};
const failuresSection = () => {
  const [words, found] = failingRows();
  const most = found.filter((row) => row.failed).sort((a, b) => b.failed - a.failed).slice(0, ROWS_AT_FIRST);
  const { failed: all } = measured(chosenSeries());
  if (!most.length) return section("Failures", {}, note(all ? `${count(all)} messages failed.` : "No message failed."));
  const rows = most.map(({ name, failed, sent, before }) => make("tr", {},
    rowHead(name.map((part, n) => [n > 0 && " · ", make("bdi", {}, short(part))])),
    cell(count(failed)), cell(percent(failed / sent)), cell(percent(before && before[2] / before[0])),
    cell(meter(failed / all, true))));
  return section("Failures", {}, table([words, "Failed", "Of sent", "Before", ""], rows, "failed messages"));
};

// Failed messages by what the platform told of them; the rest of the failed ones is a row, so that the shares add up
const reasonsSection = (one) => {
  const rows = rowsOf(one);
  if (!rows) return notSplit(one);
  const { failed: all, before } = measured(chosenSeries());
  const told = rows.filter(({ isOne }) => isOne).map((row) => ({ ...row, ...measured(row.series) }));
  const total = (list, of) => list.reduce((found, row) => found + of(row), 0);
  const rest = all - total(told, (row) => row.failed);
  const restBefore = before && before[2] - total(told, (row) => (row.before ? row.before[2] : 0));
  const lines = told.filter(({ failed, before: then }) => failed || (then && then[2])).sort((a, b) => b.failed - a.failed);
  if (!lines.length) return null;
  const line = (name, failed, then, isMore) => make("tr", { class: isMore && "more" },
    rowHead(name), cell(count(failed)), cell(percent(all ? failed / all : null)),
    cell(before ? percent(before[2] ? then / before[2] : null) : "–"), cell(meter(all ? failed / all : 0, true)));
  const shown = lines.map((row, n) => (
    line(nameButton(one, row), row.failed, row.before ? row.before[2] : 0, n >= ROWS_AT_FIRST)));
  if (choice.key !== one.key && rest > 0) shown.push(line("other, or none told", rest, restBefore, false));
  return long(one, lines.length, (looks) => (
    table([one.one, "Failed", "Share", "Before", ""], shown, `by ${one.one}`, looks)));
};

const statesSection = () => {
  const { sent, delivered, failed } = measured(chosenSeries());
  const states = chosenOf(data.states);
  const { now } = grouped(states, data.ages, data.stateNames.length);
  const open = span().days ? at(states, data.ages.length - 1) : 0;
  const others = data.stateNames
    .map((name, n) => [STATES[name], now[n], at(open, n)])
    .filter(([, messages, later]) => messages || later);
  const known = [["delivered", delivered, ""], ["failed", failed, ""], ...others];
  const rows = known.map(([name, messages, later], n) => make("tr", {},
    rowHead(name), cell(count(messages)), cell(percent(sent ? messages / sent : null, 2)),
    cell(later === "" ? "" : count(later)), cell(meter(sent ? messages / sent : 0, n > 0))));
  return section("What became of them", {}, table(["State", "Messages", "Share", "In open days", ""], rows, "states"));
};

const spendSection = () => {
  const currencies = Object.entries(data.spend);
  if (!currencies.length) return null;
  const { delivered } = measured(chosenSeries());
  const rows = currencies.map(([currency, amounts]) => {
    const { now: [pay, lost], before } = grouped(chosenOf(amounts), data.ages, 2);
    return make("tr", {}, rowHead(currency), cell(amount(pay)), cell(before ? amount(before[0]) : "–"), cell(amount(lost)),
      cell(percent(pay ? lost / pay : null)), cell(delivered ? (pay / delivered).toFixed(4) : "–"));
  });
  return section("Spend", {}, table(["Currency", "Paid", "Before", "On failed", "Share", "Per delivered"], rows, "spend"));
};

function render() {
  choice = readChoice();
  const focused = document.activeElement && document.activeElement.id;
  showControls();
  showStory();
  showTiles();
  showDays();
  if (data.bins.length) {
    const [outcomes, others] = [true, false].map((is) => data.dimensions.filter(({ isOutcome }) => isOutcome === is));
    place("sections", others.map(rowsSection),
      hoursSection(), speedSection(), failuresSection(), outcomes.map(reasonsSection), statesSection(), spendSection());
  }
  const again = focused && document.getElementById(focused);
  if (again) again.focus({ preventScroll: true });
}

const openTables = (isOpen) => () => document.querySelectorAll("details").forEach((one) => { one.open = isOpen; });
addEventListener("hashchange", render);
addEventListener("resize", showDays);
addEventListener("beforeprint", openTables(true));
addEventListener("afterprint", openTables(false));
addEventListener("keydown", (event) => event.key === "Escape" && choice.key && go({ key: null }));
try {
  render();
  document.documentElement.classList.add("drawn");
} catch (error) {
  document.documentElement.classList.add("broken");
  throw error;
}
