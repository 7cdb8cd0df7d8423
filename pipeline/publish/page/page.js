// Show the data for the chosen span and row: one choice moves everything, and the address keeps it.
(() => {
  "use strict";
  const data = JSON.parse(document.getElementById("data").textContent);
  const ROWS_AT_FIRST = 10, SPARK_POINTS = 40, LONGEST_NAME = 60, Z = 1.959964, Z_OF_THREE = 2.39398;
  const WEEKDAYS = ["Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"];
  const MONTHS = ["January", "February", "March", "April", "May", "June", "July", "August", "September", "October", "November", "December"];
  const STATES = { unknown: "no answer", invalid_id: "refused", sending: "under way", not_found: "not found", pending: "never asked" };
  const shownWhole = new Set();
  let choice;

  // Words and numbers
  const count = (n) => Math.round(n).toLocaleString("en-US");
  const short = (name) => (name.length > LONGEST_NAME ? `${name.slice(0, LONGEST_NAME - 1)}…` : name);
  const percent = (share, digits = 1) => (share == null ? "–" : `${(100 * share).toFixed(digits)}%`);
  const signed = (points, digits = 1) => `${points < 0 ? "−" : "+"}${Math.abs(points).toFixed(digits)}`;
  const dayWords = (day, withYear = false) => {
    const [year, month, date] = day.split("-").map(Number);
    return `${date} ${MONTHS[month - 1]}${withYear ? ` ${year}` : ""}`;
  };
  const weekday = (day) => WEEKDAYS[(new Date(`${day}T12:00:00Z`).getUTCDay() + 6) % 7];
  const money = (amount, currency) => `${amount.toLocaleString("en-US", { minimumFractionDigits: 2, maximumFractionDigits: 2 })} ${currency}`;

  // Elements
  const make = (tag, attributes = {}, ...children) => fill(document.createElement(tag), attributes, children);
  const draw = (tag, attributes = {}, ...children) => fill(document.createElementNS("http://www.w3.org/2000/svg", tag), attributes, children);
  const fill = (element, attributes, children) => {
    for (const [name, value] of Object.entries(attributes)) {
      if (name === "onclick") element.addEventListener("click", value);
      else if (value != null && value !== false) element.setAttribute(name, value === true ? "" : value);
    }
    element.append(...children.flat(9).filter((child) => child != null && child !== false));
    return element;
  };
  const place = (id, ...children) => document.getElementById(id).replaceChildren(...children.flat(9).filter(Boolean));

  // Figures; lists that are all zero come as 0
  const sum = (list, start, end) => {
    let total = 0;
    if (list) for (let at = start; at < end; at++) total += list[at];
    return total;
  };
  const at = (list, index) => (list ? list[index] : 0);
  const group = (starts, bin) => starts.findLastIndex((start) => start <= bin);
  const span = () => data.spans[choice.span];
  const span_ = () => ({ start: span()[1], end: span()[2], beforeEnd: span()[3] });
  const wilson = (hits, total, z = Z) => {
    const share = hits / total, middle = share + (z * z) / (2 * total);
    const half = z * Math.sqrt((share * (1 - share)) / total + (z * z) / (4 * total * total));
    return [Math.max(0, (middle - half) / (1 + (z * z) / total)), Math.min(1, (middle + half) / (1 + (z * z) / total))];
  };
  // Newcombe's interval of a difference of two shares (Statistics in Medicine 17, 1998, method 10)
  const isBeyondChance = (hits, total, hitsBefore, totalBefore, z) => {
    const [now, before] = [hits / total, hitsBefore / totalBefore];
    const [low, high] = wilson(hits, total, z), [lowBefore, highBefore] = wilson(hitsBefore, totalBefore, z);
    const change = now - before;
    return change - Math.hypot(now - low, highBefore - before) > 0 || change + Math.hypot(high - now, before - lowBefore) < 0;
  };
  // No rate where nothing was ever asked for
  const rateOf = (delivered, sent, pending) => (sent > (pending || 0) ? delivered / sent : null);
  const measured = (series) => {
    const { start, end, beforeEnd } = span_();
    const [sent, delivered, failed, pending] = [0, 1, 2, 3].map((n) => sum(at(series, n), start, end));
    const before = beforeEnd == null ? null : [0, 1, 2].map((n) => sum(at(series, n), end, beforeEnd));
    return { sent, delivered, failed, rate: rateOf(delivered, sent, pending), before: before && before[0] ? before : null };
  };
  // Counts of groups of bins, for the span and for the one before
  const grouped = (series, starts, count) => {
    const { start, end, beforeEnd } = span_();
    const over = (from, to) => Array.from({ length: count }, (_, n) => {
      let total = 0;
      starts.forEach((first, number) => {
        if (first >= from && first < to && series && series[number]) total += at(series[number], n);
      });
      return total;
    });
    return [over(start, end), beforeEnd == null ? null : over(end, beforeEnd)];
  };

  // Rows of a dimension under the choice; the rest of a split has no name of its own
  const dimension = (key) => data.dimensions.find((one) => one.key === key);
  const split = (one, other) => {
    const size = Math.min(dimension(one).values.length, data.joint), width = Math.min(dimension(other).values.length, data.joint) + 1;
    const lines = data.pairs[`${one}/${other}`], back = data.pairs[`${other}/${one}`];
    if (lines === undefined && back === undefined) return null;
    return { size, rows: (row) => Array.from({ length: width }, (_, n) => (lines === undefined ? at(at(back, n), row) : at(at(lines, row), n))) };
  };
  const rowsOf = (one) => {
    if (!choice.key) return data.series[one.key].map((series, row) => ({ row, name: one.names[row], series, isOne: row < one.values.length }));
    if (choice.key === one.key) return [{ row: choice.row, name: one.names[choice.row], series: data.series[one.key][choice.row], isOne: true }];
    const found = split(choice.key, one.key);
    if (!found || choice.row >= found.size) return null;
    const rows = found.rows(choice.row);
    const last = rows.length - 1;
    return rows.map((series, row) => ({ row, name: row === last ? "all others" : one.names[row], series, isOne: row < last }));
  };
  const chosenSeries = () => (choice.key ? data.series[choice.key][choice.row] : data.series.all[0]);
  const chosenOf = (table) => {
    const rows = table[choice.key || "all"];
    return rows === undefined ? undefined : at(rows, choice.key ? choice.row : 0);
  };

  // The address: #span=28&by=country&is=BR; without `is` it is the row that has no value
  const read = () => {
    const asked = new URLSearchParams(location.hash.slice(1));
    const place = data.spans.findIndex(([days, , , , isAll]) => (isAll ? "all" : String(days)) === asked.get("span"));
    const one = dimension(asked.get("by"));
    const row = one ? one.values.indexOf(asked.get("is")) : -1;
    return { span: place < 0 ? data.first : place, key: row < 0 ? null : one.key, row: Math.max(row, 0) };
  };
  const go = (changes) => {
    const next = { ...choice, ...changes };
    const asked = new URLSearchParams();
    const [days, , , , isAll] = data.spans[next.span];
    asked.set("span", isAll ? "all" : String(days));
    if (next.key) {
      asked.set("by", next.key);
      const value = dimension(next.key).values[next.row];
      if (value != null) asked.set("is", value);
    }
    location.hash = asked.toString();
  };

  // Small parts
  const change = ({ sent, delivered, before }, z) => {
    if (!before || !sent) return make("span", { class: "chance" }, "–");
    const points = 100 * (delivered / sent - before[1] / before[0]);
    const isReal = isBeyondChance(delivered, sent, before[1], before[0], z);
    const looks = isReal ? (points < 0 ? "worse" : "better") : "chance";
    return make("span", { class: looks, title: isReal ? "beyond chance" : "may be chance" }, `${isReal ? (points < 0 ? "▼ " : "▲ ") : ""}${signed(points)}`);
  };
  const points = (values) => {
    const step = Math.ceil(values.length / SPARK_POINTS);
    const found = [];
    for (let first = 0; first < values.length; first += step) found.push(values.slice(first, first + step));
    return found;
  };
  // One line over the span, oldest first; `pairs` are [part, whole] of each bin
  const spark = (pairs, { least = 0.1, isShare = true } = {}) => {
    const shares = points([...pairs].reverse()).map((some) => {
      const [part, whole] = some.reduce(([a, b], [c, d]) => [a + c, b + d], [0, 0]);
      return isShare ? (whole ? part / whole : null) : part;
    });
    const known = shares.filter((share) => share != null);
    if (known.length < 2) return draw("svg", { class: "spark", "aria-hidden": true });
    const high = Math.max(...known), low = isShare ? Math.min(Math.min(...known), high - least) : 0;
    const path = shares.map((share, n) => share == null ? "" : `${n && shares[n - 1] != null ? "L" : "M"}${((100 * n) / (shares.length - 1)).toFixed(1)} ${(22 - (20 * (share - low)) / (high - low || 1)).toFixed(1)}`).join("");
    return draw("svg", { class: "spark", viewBox: "0 0 100 24", preserveAspectRatio: "none", "aria-hidden": true }, draw("path", { class: "line", d: path }));
  };
  const seriesPairs = (series, part) => {
    const { start, end } = span_();
    return Array.from({ length: end - start }, (_, n) => [at(at(series, part), start + n) || 0, at(at(series, 0), start + n) || 0]);
  };
  const meter = (share, isBad = false) => {
    const inner = make("span");
    inner.style.width = `${Math.min(100, 100 * share)}%`;
    return make("span", { class: isBad ? "meter bad" : "meter", "aria-hidden": true }, inner);
  };
  const table = (heads, rows, caption, attributes = {}) => make("div", { class: "wide" }, make("table", attributes,
    make("caption", { class: "unseen" }, caption), make("thead", {}, make("tr", {}, heads.map((head) => make("th", { scope: "col" }, head)))), make("tbody", {}, rows)));
  const section = (title, attributes, ...children) => make("section", attributes, make("h2", {}, title), children);

  // Parts of the page
  const spanWords = () => {
    const [days, start, end] = span();
    if (!data.bins.length) return "no day yet";
    const first = data.bins[end - 1][0], last = data.bins[start][1];
    const start_ = first.slice(0, 7) === last.slice(0, 7) ? String(Number(first.slice(8))) : dayWords(first, first.slice(0, 4) !== last.slice(0, 4));
    const range = first === last ? dayWords(last, true) : `${start_} to ${dayWords(last, true)}`;
    return days ? `${days === 1 ? "1 complete day" : `${days} complete days`}, ${range}` : `no day is complete yet, ${range} so far`;
  };
  const controls = () => {
    document.getElementById("controls").hidden = false;
    place("spans", data.spans.map(([days, , , , isAll], number) => {
      const input = make("input", { type: "radio", name: "span", value: number, id: `span-${number}`, checked: number === choice.span });
      input.addEventListener("change", () => go({ span: number }));
      return make("label", {}, input, make("span", {}, isAll ? "all days" : `${days} days`));
    }));
    const chosen = document.getElementById("chosen");
    chosen.hidden = !choice.key;
    if (choice.key) {
      const one = dimension(choice.key);
      chosen.replaceChildren(make("button", { class: "chip", id: "back", type: "button", onclick: () => go({ key: null }) },
        `${one.one}: `, make("bdi", {}, short(one.names[choice.row])), " ×", make("span", { class: "unseen" }, " show everything again")));
    }
  };
  const told = () => data.texts[`${choice.span}/${choice.key ? `${choice.key}/${choice.row}` : ""}`];
  const story = () => {
    const lines = told() || [["Nothing changed beyond chance here", "the figures below are of this row alone."]];
    place("when", span()[0] ? `What happened in ${spanWords()}` : `What happened: ${spanWords()}`);
    place("sentences", lines.map(([head, detail]) => make("li", {}, make("strong", {}, `${head}:`), ` ${detail}`)));
    document.getElementById("story").classList.toggle("news", !/^(Nothing|No day)/.test(lines[0][0]));
  };
  const tile = (title, figure, ...rest) => make("div", { class: "tile" }, make("h2", {}, title), make("p", { class: "figure" }, figure), rest);
  const beforeWords = () => `${span()[0]} days before`;
  const tiles = () => {
    const series = chosenSeries(), now = measured(series);
    if (!data.bins.length) return place("tiles");
    const found = [tile("Delivery rate", percent(now.rate),
      make("p", {}, now.before ? [change(now, Z), ` points; ${percent(now.before[1] / now.before[0])} in the ${beforeWords()}`] : span()[0] ? "no equal span before" : "so far: no day is complete yet"),
      spark(seriesPairs(series, 1)))];
    const more = (value, before) => (before ? `${signed((100 * (value - before)) / before, 0)}% against the ${beforeWords()}` : "");
    found.push(tile("Sent", count(now.sent), make("p", {}, now.before ? more(now.sent, now.before[0]) : ""), spark(seriesPairs(series, 0), { isShare: false })));
    found.push(tile("Failed", count(now.failed), make("p", {}, `${percent(now.sent ? now.failed / now.sent : null)} of sent${now.before ? `, ${percent(now.before[2] / now.before[0])} before` : ""}`), spark(seriesPairs(series, 2))));
    const speed = chosenOf(data.speed);
    if (speed) {
      const [[timed, , fast], before] = grouped(speed, data.ages, 4);
      const { start, end } = span_();
      const line = choice.key ? null : spark(Array.from({ length: end - start }, (_, n) => [at(data.fast[1], start + n), at(data.fast[0], start + n)]));
      if (timed) found.push(tile("Within 30 seconds", percent(fast / timed), make("p", {}, before && before[0] ? `${percent(before[2] / before[0])} in the ${beforeWords()}` : "of delivered messages"), line));
    }
    for (const [currency, amounts] of Object.entries(data.spend)) {
      const rows = chosenOf(amounts);
      if (rows === undefined) continue;
      const [[pay, lost], before] = grouped(rows, data.ages, 2);
      found.push(tile("Spend", money(pay, currency), make("p", {}, `${money(lost, currency)} on messages that failed${before && before[0] ? `; ${signed((100 * (pay - before[0])) / before[0], 0)}% against the ${beforeWords()}` : ""}`),
        choice.key ? null : spark(data.paid[currency].slice(span_().start, span_().end).map((paid) => [paid, 1]), { isShare: false })));
    }
    place("tiles", found);
  };

  const chart = () => {
    const series = chosenSeries();
    const bins = data.bins.map(([first, last], bin) => ({ first, last, bin, isOpen: bin >= data.mature, sent: at(at(series, 0), bin), delivered: at(at(series, 1), bin), rate: rateOf(at(at(series, 1), bin), at(at(series, 0), bin), at(at(series, 3), bin)) }));
    const { end } = span_();
    const oldest = data.bins[end - 1][0];
    const shown = bins.filter((one) => (one.bin < end || (one.isOpen && one.first >= oldest)) && one.sent).sort((a, b) => (a.first < b.first ? -1 : 1));
    if (!shown.length) return make("p", { class: "nothing" }, "No message in these days.");
    const wide = Math.max(300, Math.min(1280, document.getElementById("days").clientWidth - 34)), high = 250, left = 44, bottom = 176, top = 12;
    const drawn = shown.filter((one) => one.rate != null && !one.isOpen);
    const lowest = Math.min(1, ...(drawn.length ? drawn : shown.filter((one) => one.rate != null)).map((one) => one.rate));
    const least = Math.max(0, Math.floor(lowest * 10 - 0.3) / 10);
    const step = (wide - left - 8) / shown.length;
    const x = (n) => left + step * (n + 0.5), y = (rate) => bottom - ((bottom - top) * (Math.max(rate, least) - least)) / (1 - least);
    const most = Math.max(...shown.map((one) => one.sent));
    const ticks = [...new Set([least, least + (1 - least) / 2, 1])];
    const solid = shown.map((one, n) => ({ ...one, n })).filter((one) => !one.isOpen);
    const band = solid.map((one) => ({ n: one.n, interval: wilson(one.delivered, one.sent) }));
    const says = (one) => `${one.first === one.last ? `${weekday(one.first)} ${dayWords(one.first)}` : `${dayWords(one.first)} to ${dayWords(one.last)}`}: ${percent(one.rate, 2)} of ${count(one.sent)} delivered${one.isOpen ? ", not complete" : ""}`;
    const events = told() || [];
    const every = Math.max(1, Math.ceil(70 / step));
    return make("div", { id: "chart" }, draw("svg", { viewBox: `0 0 ${wide} ${high}`, role: "img", "aria-label": `Delivery rate by day, ${spanWords()}; the table below has the numbers` },
      ticks.map((tick) => [draw("line", { class: "grid", x1: left, x2: wide, y1: y(tick), y2: y(tick) }), draw("text", { x: left - 6, y: y(tick) + 4, "text-anchor": "end" }, percent(tick, 0))]),
      draw("text", { x: left - 6, y: high - 24, "text-anchor": "end" }, "sent"),
      shown.map((one, n) => one.isOpen && draw("rect", { class: "shade", x: x(n) - step / 2, y: top, width: step, height: high - top - 20 })),
      shown.map((one, n) => events.some(([, , newest, oldest]) => one.bin >= newest && one.bin < oldest) && draw("rect", { class: "event", x: x(n) - step / 2, y: top, width: step, height: high - top - 20 })),
      shown.map((one, n) => draw("rect", { class: "volume", x: x(n) - Math.max(0.5, step * 0.35), width: Math.max(1, step * 0.7), y: high - 20 - (40 * one.sent) / most, height: (40 * one.sent) / most })),
      band.length > 1 && draw("path", { class: "band", d: `M${band.map(({ n, interval }) => `${x(n)} ${y(interval[1])}`).join("L")}L${band.reverse().map(({ n, interval }) => `${x(n)} ${y(interval[0])}`).join("L")}Z` }),
      solid.length > 1 && draw("path", { class: "line", d: `M${solid.map((one) => `${x(one.n)} ${y(one.delivered / one.sent)}`).join("L")}` }),
      step > 5 && shown.map((one, n) => one.rate != null && draw("circle", { class: one.isOpen ? "dot is-open" : "dot", cx: x(n), cy: y(one.rate), r: step > 12 ? 3.5 : 2 })),
      shown.map((one, n) => n % every === 0 && draw("text", { x: x(n), y: high - 4, "text-anchor": "middle" }, dayWords(one.first).replace(/(\d+ \w{3})\w*/, "$1"))),
      shown.map((one, n) => draw("rect", { class: "hit", x: x(n) - step / 2, y: top, width: step, height: high - top - 20 }, draw("title", {}, says(one))))),
    make("details", {}, make("summary", {}, "The numbers"), table(["Day", "Sent", "Delivered", "Rate"],
      shown.map((one) => make("tr", {}, make("th", { scope: "row" }, one.first === one.last ? one.first : `${one.first} to ${one.last}`, one.isOpen && make("span", { class: "chance" }, " not complete")), make("td", {}, count(one.sent)), make("td", {}, count(one.delivered)), make("td", {}, percent(one.rate, 2)))), "by day")));
  };

  const rowsSection = (one) => {
    const rows = rowsOf(one);
    if (rows === null) return section(one.title, {}, make("p", { class: "note" }, `This row is not split by ${one.one} on the page; the database has every message.`));
    const measuredRows = rows.map((row) => ({ ...row, ...measured(row.series) })).filter((row) => row.sent || row.before)
      .sort((a, b) => b.isOne - a.isOne || b.sent - a.sent);
    const isWhole = shownWhole.has(one.key);
    const lines = measuredRows.map((row, n) => {
      const [low, high] = row.sent ? wilson(row.delivered, row.sent) : [null, null];
      const name = make("bdi", { title: row.name.length > LONGEST_NAME && row.name }, short(row.name));
      const isChosen = choice.key === one.key;
      return make("tr", { class: n >= ROWS_AT_FIRST && "more" }, make("th", { scope: "row" }, row.isOne ? make("button", { type: "button", id: `row-${one.key}-${row.row}`, "aria-pressed": String(isChosen), onclick: () => go(isChosen ? { key: null } : { key: one.key, row: row.row }) }, name) : name),
        make("td", {}, count(row.sent)), make("td", {}, percent(row.rate), row.rate != null && [" ", make("span", { class: "interval" }, `${percent(low, 0).slice(0, -1)}–${percent(high, 0)}`)]),
        make("td", {}, change(row, one.limit)), make("td", {}, spark(seriesPairs(row.series, 1))));
    });
    const more = lines.length > ROWS_AT_FIRST && make("button", { type: "button", class: "link", id: `more-${one.key}`, onclick: () => { isWhole ? shownWhole.delete(one.key) : shownWhole.add(one.key); render(); } }, isWhole ? "Show fewer" : `Show all ${count(lines.length)}`);
    return section(one.title, { class: lines.length > ROWS_AT_FIRST ? "long" : null, "data-rows": one.key },
      lines.length ? table([one.one, "Messages", "Rate, 95%", "Points", "Trend"], lines, `by ${one.one}`, { class: isWhole ? "all" : null }) : make("p", { class: "note" }, "No message."), more);
  };

  const heat = () => {
    const hours = chosenOf(data.hours);
    if (!hours) return section("Hour and weekday", {}, make("p", { class: "note" }, hours === 0 ? "No message." : "Kept for the largest rows alone; the database has every hour."));
    const { start, end } = span_();
    const cells = Array.from({ length: 168 }, (_, cell) => {
      let sent = 0, delivered = 0;
      data.hourAges.forEach((first, number) => {
        if (first >= start && first < end && hours[number]) {
          sent += at(hours[number][0], cell);
          delivered += at(hours[number][1], cell);
        }
      });
      return { sent, delivered };
    });
    const all = cells.reduce((a, b) => ({ sent: a.sent + b.sent, delivered: a.delivered + b.delivered }));
    const usual = all.sent ? all.delivered / all.sent : 0;
    const rows = WEEKDAYS.map((name, day) => make("tr", {}, make("th", { scope: "row", "aria-label": name }, name.slice(0, 3)), Array.from({ length: 24 }, (_, hour) => {
      const { sent, delivered } = cells[24 * day + hour];
      // Few messages are drawn towards the usual rate, so that chance does not look like an hour.
      const below = 100 * (usual - (delivered + 20 * usual) / (sent + 20));
      const says = `${name} ${String(hour).padStart(2, "0")}:00: ${sent ? `${percent(delivered / sent)} of ${count(sent)}` : "no message"}`;
      const cell = make("td", { class: sent ? null : "none", title: says }, make("span", { class: "unseen" }, sent ? percent(delivered / sent, 0) : "–"));
      cell.style.setProperty("--part", Math.round(Math.max(0, Math.min(100, 5 * below))));
      return cell;
    })));
    const heads = ["", ...Array.from({ length: 24 }, (_, hour) => (hour % 3 ? make("span", { class: "unseen" }, `${hour}:00`) : String(hour)))];
    const scale = [0, 5, 10, 20].map((below) => {
      const box = make("i");
      box.style.background = `color-mix(in srgb, var(--heat) ${5 * below}%, color-mix(in srgb, var(--delivered) 14%, var(--card)))`;
      return [box, make("span", {}, below ? `−${below}` : "usual")];
    });
    return section("Hour and weekday", {}, table(heads, rows, "delivery rate by weekday and hour of sending", { class: "heat" }), make("p", { class: "key note" }, "Points below the rate of the span: ", scale));
  };

  const fastness = () => {
    const speed = chosenOf(data.speed);
    if (speed === undefined) return section("How fast", {}, make("p", { class: "note" }, "Not split by this; the database has every message."));
    const [[timed, ...within], before] = grouped(speed, data.ages, 4);
    if (!timed) return section("How fast", {}, make("p", { class: "note" }, "No time of receipt in these days."));
    const rows = ["5 seconds", "30 seconds", "5 minutes"].map((words, n) => make("tr", {}, make("th", { scope: "row" }, `within ${words}`), make("td", {}, percent(within[n] / timed)),
      make("td", {}, change({ sent: timed, delivered: within[n], before: before && before[0] ? [before[0], before[n + 1]] : null }, Z_OF_THREE)), make("td", {}, meter(within[n] / timed))));
    return section("How fast", {}, table(["Delivered", "Share", "Points", ""], rows, "how fast"), make("p", { class: "note" }, `Of ${count(timed)} delivered messages with a time of receipt.`));
  };

  const outcomes = () => {
    const series = chosenSeries(), now = measured(series);
    const states = chosenOf(data.states);
    const [found] = grouped(states || 0, data.ages, 5);
    const open = at(states, data.ages.length - 1);
    const rows = [["delivered", now.delivered, 0], ["failed", now.failed, 0], ...data.stateNames.map((name, n) => [STATES[name], found[n], span()[0] ? at(open, n) || 0 : 0])]
      .filter(([, messages, later], n) => n < 2 || messages || later)
      .map(([name, messages, later], n) => make("tr", {}, make("th", { scope: "row" }, name), make("td", {}, count(messages)), make("td", {}, percent(now.sent ? messages / now.sent : null, 2)), make("td", {}, n < 2 ? "" : count(later)), make("td", {}, meter(now.sent ? messages / now.sent : 0, n > 0))));
    return section("What became of them", {}, table(["State", "Messages", "Share", "In open days", ""], rows, "states"));
  };

  const failures = () => {
    const names = (key) => (dimension(key) ? dimension(key).names : null);
    const single = (key) => (rowsOf(dimension(key)) || []).map((row) => ({ name: [row.name], ...measured(row.series) }));
    let found = [], what = "";
    if (!choice.key && names("country") && names("sender_id")) {
      what = "country and sender";
      const pair = data.pairs["country/sender_id"];
      found = (pair || []).flatMap((line, country) => (line || []).map((series, sender) => ({ name: [names("country")[country] && country < pair.length - 1 ? names("country")[country] : "others", sender < line.length - 1 ? names("sender_id")[sender] : "others"], ...measured(series) })));
    } else {
      const key = ["country", "sender_id", "app_id"].find((one) => dimension(one) && one !== choice.key);
      if (key) [what, found] = [dimension(key).one, single(key)];
    }
    const most = found.filter((row) => row.failed).sort((a, b) => b.failed - a.failed).slice(0, ROWS_AT_FIRST);
    const all = measured(chosenSeries()).failed;
    if (!most.length) return section("Failures", {}, make("p", { class: "note" }, all ? `${count(all)} messages failed; they are not split on the page.` : "No message failed."));
    return section("Failures", {}, table([what, "Failed", "Of sent", "Before", ""], most.map((row) => make("tr", {}, make("th", { scope: "row" }, row.name.map((part, n) => [n > 0 && " · ", make("bdi", {}, short(part))])),
      make("td", {}, count(row.failed)), make("td", {}, percent(row.failed / row.sent)), make("td", {}, row.before ? percent(row.before[2] / row.before[0]) : "–"), make("td", {}, meter(row.failed / all, true)))), "failed messages"));
  };

  const spend = () => {
    const lines = Object.entries(data.spend).map(([currency, amounts]) => {
      const rows = chosenOf(amounts);
      if (rows === undefined) return null;
      const [[pay, lost], before] = grouped(rows, data.ages, 2);
      const { delivered } = measured(chosenSeries());
      return make("tr", {}, make("th", { scope: "row" }, currency), make("td", {}, money(pay, "")), make("td", {}, before ? money(before[0], "") : "–"), make("td", {}, money(lost, "")), make("td", {}, percent(pay ? lost / pay : null)), make("td", {}, delivered ? (pay / delivered).toFixed(4) : "–"));
    });
    if (!lines.length) return null;
    return section("Spend", {}, lines.some(Boolean) ? table(["Currency", "Paid", "Before", "On failed", "Share", "Per delivered"], lines, "spend") : make("p", { class: "note" }, "Not split by this; the database has every price."));
  };

  const days = () => data.bins.length && place("days", section("Delivery rate by day", {}, chart()));

  const render = () => {
    choice = read();
    const focused = document.activeElement && document.activeElement.id;
    controls();
    story();
    tiles();
    days();
    if (data.bins.length) {
      place("sections", data.dimensions.map(rowsSection), heat(), fastness(), failures(), outcomes(), spend());
    }
    const again = focused && document.getElementById(focused);
    if (again) again.focus({ preventScroll: true });
  };

  const print = (isOpen) => () => document.querySelectorAll("details").forEach((one) => { one.open = isOpen; });
  addEventListener("hashchange", render);
  addEventListener("resize", days);
  addEventListener("beforeprint", print(true));
  addEventListener("afterprint", print(false));
  addEventListener("keydown", (event) => event.key === "Escape" && choice.key && go({ key: null }));
  try {
    render();
    document.documentElement.classList.add("drawn");
  } catch (error) {
    document.documentElement.classList.add("broken");
    throw error;
  }
})();
