// Elements, and the parts that several sections are made of: tables, lines, bars, the chart of days, the map of hours.
const SPARK_POINTS = 40;
const CHART = { height: 250, left: 44, right: 8, top: 12, bottom: 176, widest: 1280, volume: 40, words: 20 };
const FEW = 20; // messages of an hour at which half of its deviation is shown

const fill = (element, attributes, children) => {
  for (const [name, value] of Object.entries(attributes)) {
    if (name === "onclick") element.addEventListener("click", value);
    else if (value != null && value !== false) element.setAttribute(name, value === true ? "" : value);
  }
  element.append(...children.flat(9).filter((child) => child != null && child !== false));
  return element;
};
const make = (tag, attributes = {}, ...children) => fill(document.createElement(tag), attributes, children);
const SVG = "http://www.w3.org/2000/svg";
const draw = (tag, attributes = {}, ...children) => fill(document.createElementNS(SVG, tag), attributes, children);
const place = (id, ...children) => document.getElementById(id).replaceChildren(...children.flat(9).filter(Boolean));

const note = (words) => make("p", { class: "note" }, words);
const section = (title, attributes, ...children) => make("section", attributes, make("h2", {}, title), children);
const cell = (...children) => make("td", {}, ...children);
const rowHead = (...children) => make("th", { scope: "row" }, ...children);
const table = (heads, rows, caption, attributes = {}) => make("div", { class: "wide" },
  make("table", attributes,
    make("caption", { class: "unseen" }, caption),
    make("thead", {}, make("tr", {}, heads.map((head) => make("th", { scope: "col" }, head)))),
    make("tbody", {}, rows)));
const meter = (share, isBad = false) => {
  const bar = make("span");
  bar.style.width = `${Math.min(100, 100 * share)}%`;
  return make("span", { class: isBad ? "meter bad" : "meter", "aria-hidden": true }, bar);
};

// Points against the span before; coloured only beyond chance, at z standard errors
const change = ({ sent, delivered, before }, z) => {
  if (!before || !sent) return make("span", { class: "chance" }, "–");
  const points = 100 * (delivered / sent - before[1] / before[0]);
  if (!isBeyondChance(delivered, sent, before[1], before[0], z)) {
    return make("span", { class: "chance", title: "may be chance" }, signed(points));
  }
  const [looks, arrow] = points < 0 ? ["worse", "▼"] : ["better", "▲"];
  return make("span", { class: looks, title: "beyond chance" }, `${arrow} ${signed(points)}`);
};

// A small line over the span, of shares or of amounts; `pairs` are [part, whole] of each bin, the newest first
const spark = (pairs, { isShare = true } = {}) => {
  const step = Math.ceil(pairs.length / SPARK_POINTS);
  const values = [];
  for (let last = pairs.length; last > 0; last -= step) {
    const some = pairs.slice(Math.max(0, last - step), last);
    const [part, whole] = [0, 1].map((n) => some.reduce((total, pair) => total + pair[n], 0));
    values.push(isShare ? (whole ? part / whole : null) : part);
  }
  const known = values.filter((value) => value != null);
  if (known.length < 2) return draw("svg", { class: "spark", "aria-hidden": true });
  const high = Math.max(...known);
  const low = isShare ? Math.min(...known, high - 0.1) : 0; // less than ten points never fill the height
  const point = (value, n) => {
    const x = (100 * n) / (values.length - 1), y = 22 - (20 * (value - low)) / (high - low || 1);
    return `${n && values[n - 1] != null ? "L" : "M"}${x.toFixed(1)} ${y.toFixed(1)}`;
  };
  const path = values.map((value, n) => (value == null ? "" : point(value, n))).join("");
  const frame = { class: "spark", viewBox: "0 0 100 24", preserveAspectRatio: "none", "aria-hidden": true };
  return draw("svg", frame, draw("path", { class: "line", d: path }));
};

// Days of the span and open days after its first one, oldest first
const shownDays = () => {
  const series = chosenSeries(), { end } = span();
  const oldest = data.bins[end - 1][0];
  return data.bins
    .map(([first, last], bin) => {
      const [sent, delivered, , pending] = [0, 1, 2, 3].map((n) => at(at(series, n), bin));
      const isOpen = bin >= data.mature;
      return { first, last, bin, isOpen, sent, delivered, rate: rateOf(delivered, sent, pending) };
    })
    .filter((one) => one.sent && (one.bin < end || (one.isOpen && one.first >= oldest)))
    .sort((one, other) => (one.first < other.first ? -1 : 1));
};
const dayChart = (days) => {
  const { height, left, right, top, bottom } = CHART;
  const wide = Math.max(300, Math.min(CHART.widest, document.getElementById("days").clientWidth - 34));
  const rated = days.map((one, n) => ({ ...one, n })).filter((one) => one.rate != null);
  const solid = rated.filter((one) => !one.isOpen);
  const lowest = Math.min(1, ...(solid.length ? solid : rated).map((one) => one.rate));
  const least = Math.max(0, Math.floor(lowest * 10 - 0.3) / 10);
  const step = (wide - left - right) / days.length, floor = height - CHART.words;
  const x = (n) => left + step * (n + 0.5);
  const y = (rate) => bottom - ((bottom - top) * (Math.max(rate, least) - least)) / (1 - least);
  const tall = (look, n, child) => (
    draw("rect", { class: look, x: x(n) - step / 2, y: top, width: step, height: floor - top }, child));
  const path = (points) => points.map(([n, rate]) => `${x(n)} ${y(rate)}`).join("L");

  const grid = [...new Set([least, (least + 1) / 2, 1])].map((tick) => [
    draw("line", { class: "grid", x1: left, x2: wide, y1: y(tick), y2: y(tick) }),
    draw("text", { x: left - 6, y: y(tick) + 4, "text-anchor": "end" }, percent(tick, 0)),
  ]);
  const events = told() || [];
  const isEvent = ({ bin }) => events.some(([, , newest, oldest]) => bin >= newest && bin < oldest);
  const shades = days.map((one, n) => [one.isOpen && tall("shade", n), isEvent(one) && tall("event", n)]);
  const most = Math.max(...days.map((one) => one.sent));
  const volumes = days.map(({ sent }, n) => {
    const high = (CHART.volume * sent) / most;
    const wide = Math.max(1, step * 0.7);
    return draw("rect", { class: "volume", x: x(n) - wide / 2, width: wide, y: floor - high, height: high });
  });
  const intervals = solid.map((one) => [one.n, wilson(one.delivered, one.sent)]);
  const upper = intervals.map(([n, [, high]]) => [n, high]), lower = intervals.map(([n, [low]]) => [n, low]).reverse();
  const line = solid.length > 1 && [
    draw("path", { class: "band", d: `M${path(upper)}L${path(lower)}Z` }),
    draw("path", { class: "line", d: `M${path(solid.map((one) => [one.n, one.rate]))}` }),
  ];
  const dots = step > 5 && rated.map((one) => draw("circle", {
    class: one.isOpen ? "dot is-open" : "dot", cx: x(one.n), cy: y(one.rate), r: step > 12 ? 3.5 : 2,
  }));
  const every = Math.max(1, Math.ceil(70 / step));
  const words = days.map(({ first }, n) => n % every === 0
    && draw("text", { x: x(n), y: height - 4, "text-anchor": "middle" }, dayWords(first).replace(/(\d+ \w{3})\w*/, "$1")));
  const says = ({ first, last, rate, sent, isOpen }) => {
    const when = first === last ? `${weekday(first)} ${dayWords(first)}` : `${dayWords(first)} to ${dayWords(last)}`;
    return `${when}: ${percent(rate, 2)} of ${count(sent)} delivered${isOpen ? ", not complete" : ""}`;
  };
  const hits = days.map((one, n) => tall("hit", n, draw("title", {}, says(one))));
  const label = `Delivery rate by day, ${spanWords()}; the table below has the numbers`;
  return draw("svg", { viewBox: `0 0 ${wide} ${height}`, role: "img", "aria-label": label },
    grid, draw("text", { x: left - 6, y: floor - 4, "text-anchor": "end" }, "sent"),
    shades, volumes, line, dots, words, hits);
};

// Hours of a week by how far they are below the rate of all; `cells` are { sent, delivered }, Monday first
const heatTable = (cells) => {
  const [sent, delivered] = ["sent", "delivered"].map((name) => cells.reduce((total, one) => total + one[name], 0));
  const usual = sent ? delivered / sent : 0;
  const heatCell = (name, hour, one) => {
    // Few messages are drawn towards the usual rate, so that chance does not look like an hour.
    const below = 100 * (usual - (one.delivered + FEW * usual) / (one.sent + FEW));
    const rate = one.sent ? one.delivered / one.sent : null;
    const words = one.sent ? `${percent(rate)} of ${count(one.sent)}` : "no message";
    const title = `${name} ${String(hour).padStart(2, "0")}:00: ${words}`;
    const found = make("td", { class: one.sent ? null : "none", title }, make("span", { class: "unseen" }, percent(rate, 0)));
    found.style.setProperty("--part", Math.round(Math.max(0, Math.min(100, 5 * below))));
    return found;
  };
  const rows = WEEKDAYS.map((name, day) => make("tr", {},
    make("th", { scope: "row", "aria-label": name }, name.slice(0, 3)),
    Array.from({ length: 24 }, (_, hour) => heatCell(name, hour, cells[24 * day + hour]))));
  const hourHead = (hour) => (hour % 3 ? make("span", { class: "unseen" }, `${hour}:00`) : String(hour));
  const hours = Array.from({ length: 24 }, (_, hour) => hourHead(hour));
  const scale = [0, 5, 10, 20].map((below) => {
    const box = make("i");
    box.style.setProperty("--part", 5 * below);
    return [box, make("span", {}, below ? `−${below}` : "usual")];
  });
  return [
    table(["", ...hours], rows, "delivery rate by weekday and hour of sending", { class: "heat" }),
    make("p", { class: "key note" }, "Points below the rate of the span: ", scale),
  ];
};
