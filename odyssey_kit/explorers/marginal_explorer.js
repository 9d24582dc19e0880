/* Shares, marginals and pair maps of one variant and metric, drawn from numbers that Python computed.

   Nothing is estimated here. What is shown lies in `data.models[variant][metric]` as the library returned it, so
   that the same widget is live in a notebook and in a page without a kernel. */

const SVG = "http://www.w3.org/2000/svg";
const MINUS = (text) => text.replace("-", "−");

/** An element of SVG or HTML with attributes and children. */
const made = (space) => (name, attributes = {}, ...children) => {
  const node = space ? document.createElementNS(space, name) : document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (key.startsWith("on")) node.addEventListener(key.slice(2), value);
    else if (value !== false && value !== undefined) node.setAttribute(key, value);
  }
  node.append(...children);
  return node;
};
const svg = made(SVG), html = made(null);

// ---- numbers in words ---------------------------------------------------------------------------

const SUPERSCRIPT = { "-": "⁻", 0: "⁰", 1: "¹", 2: "²", 3: "³", 4: "⁴", 5: "⁵", 6: "⁶", 7: "⁷", 8: "⁸", 9: "⁹" };

/** A number to some significant digits; very small ones as a power of ten. */
export function written(value, digits = 3) {
  if (typeof value !== "number") return String(value ?? "—");
  if (value !== 0 && Math.abs(value) < 1e-3) {
    const power = Math.floor(Math.log10(Math.abs(value)) + 1e-9);
    const [head, raised] = [Number((value / 10 ** power).toPrecision(2)), [...String(power)].map((c) => SUPERSCRIPT[c]).join("")];
    return MINUS(head === 1 ? `10${raised}` : `${head}·10${raised}`);
  }
  return MINUS(String(Number(value.toPrecision(digits))));
}

/** A share in per cent, with one decimal; like the ends of its interval, one below zero is said to be zero. */
export const percent = (share) => `${(100 * Math.max(share, 0)).toFixed(1)} %`;

/** The ends of a share's interval. */
export const interval = ({ low, high }) =>
  low === null || high === null ? "" : `${(100 * Math.max(low, 0)).toFixed(1)} to ${(100 * high).toFixed(1)} %`;

/** A metric's unit after what goes before it; nothing of a metric without one. */
const unit = (metric, before = " ") => (metric.unit ? before + metric.unit : "");

// ---- colours ------------------------------------------------------------------------------------

const VIRIDIS = [[72, 35, 116], [52, 94, 141], [33, 145, 140], [94, 201, 98], [253, 231, 37]];
const viridis = (t) => {
  const place = Math.min(3.999, Math.max(0, t) * 4), i = Math.floor(place);
  return `rgb(${VIRIDIS[i].map((c, k) => Math.round(c + (place - i) * (VIRIDIS[i + 1][k] - c))).join(",")})`;
};
// Transparent in the middle, so that zero is the page itself, light or dark.
const diverging = (t) => `rgb(${t < 0 ? "0 114 178" : "213 94 0"} / ${Math.min(1, Math.abs(t)).toFixed(3)})`;

// ---- panels -------------------------------------------------------------------------------------

const BOX = { width: 340, height: 196, left: 44, right: 8, top: 34, bottom: 36 };
const plotted = (box) => ({ w: box.width - box.left - box.right, h: box.height - box.top - box.bottom });
const finite = (values) => values.filter((value) => Number.isFinite(value));

function niceTicks(low, high) {
  const raw = (high - low) / 4, power = 10 ** Math.floor(Math.log10(raw));
  const step = power * [1, 2, 2.5, 5, 10].find((digit) => digit * power >= raw);
  return Array.from({ length: 8 }, (_, i) => (Math.ceil(low / step) + i) * step).filter((tick) => tick <= high);
}

/** The ends of the value axis: all curves with their bands, and the trials but for the worst tenth. */
function valueRange(shown, values) {
  const curves = shown.flatMap((entry) => Object.values(entry.curves)).flatMap((c) => [...c.mean, ...c.low, ...c.high]);
  const sorted = finite(values).sort((a, b) => a - b);
  const dots = sorted.length ? [sorted[0], sorted[Math.floor(0.9 * (sorted.length - 1))]] : [];
  const all = finite([...curves, ...dots]), [low, high] = [Math.min(...all), Math.max(...all)];
  const room = 0.04 * (high - low || 1);
  return [low - room, high + room];
}

function axes(group, box, ticks, range, y, title) {
  const { w, h } = plotted(box);
  for (const tick of niceTicks(...range)) {
    group.append(svg("line", { class: "rule", x1: box.left, x2: box.left + w, y1: y(tick), y2: y(tick) }),
      svg("text", { x: box.left - 6, y: y(tick) + 4, "text-anchor": "end" }, written(tick, 4)));
  }
  bottom(group, box, ticks, h, w, title);
}

function bottom(group, box, ticks, h, w, title) {
  ticks.forEach(([place, words]) => {
    const anchor = { 0: "start", 1: "end" }[place] ?? "middle";
    group.append(svg("text", { x: box.left + Number(place) * w, y: box.top + h + 15, "text-anchor": anchor }, words));
  });
  group.append(svg("text", { class: "title", x: box.left, y: box.top + h + 31 }, title));
}

function marginal({ parameter, entry, beside, trials, metric, range, tell }) {
  const { w, h } = plotted(BOX), curve = entry.curves[parameter.name];
  const x = (q) => BOX.left + q * w, y = (v) => BOX.top + (1 - (v - range[0]) / (range[1] - range[0])) * h;
  const label = `${metric.words} along ${parameter.words}: ${written(Math.min(...curve.mean), 4)} to ${written(Math.max(...curve.mean), 4)}${unit(metric)}`;
  const node = svg("svg", { viewBox: `0 0 ${BOX.width} ${BOX.height}`, tabindex: 0, role: "img", "aria-label": `${label}. Arrow keys read the curve.`, "data-parameter": parameter.name });
  axes(node, BOX, parameter.ticks, range, y, parameter.words);
  const off = dots(node, { trials, metric, parameter, range, x, y });
  if (off) node.append(svg("text", { class: "lost", x: BOX.left + w, y: 12, "text-anchor": "end" }, off));
  const line = (c) => c.quantile.map((q, i) => `${i ? "L" : "M"}${x(q).toFixed(1)} ${y(c.mean[i]).toFixed(1)}`).join("");
  if (curve.low.every(Number.isFinite)) {
    const edge = (ends, order) => order.map((i) => `${x(curve.quantile[i]).toFixed(1)} ${y(ends[i]).toFixed(1)}`);
    const there = [...curve.quantile.keys()];
    node.append(svg("path", { class: "band", d: `M${[...edge(curve.low, there), ...edge(curve.high, [...there].reverse())].join("L")}Z` }));
  }
  if (beside) node.append(svg("path", { class: "beside", d: line(beside.curves[parameter.name]) }));
  node.append(svg("path", { class: "curve", d: line(curve) }));
  const cursor = svg("g", { visibility: "hidden" });
  node.append(cursor);
  let at = Math.floor(curve.quantile.length / 2);
  const read = (i) => {
    at = Math.min(curve.quantile.length - 1, Math.max(0, i));
    cursor.setAttribute("visibility", "visible");
    cursor.replaceChildren(svg("line", { class: "cursor", x1: x(curve.quantile[at]), x2: x(curve.quantile[at]), y1: BOX.top, y2: BOX.top + h }),
      svg("circle", { class: "here", cx: x(curve.quantile[at]), cy: y(curve.mean[at]), r: 4 }));
    const band = curve.low[at] === null ? "" : ` (${written(curve.low[at], 4)} to ${written(curve.high[at], 4)})`;
    tell(`${parameter.words} ${written(curve.value[at])}: mean ${metric.words} ${written(curve.mean[at], 4)}${band}${unit(metric)}`);
  };
  node.addEventListener("pointermove", (event) => {
    const place = node.getBoundingClientRect(), q = ((event.clientX - place.left) / place.width * BOX.width - BOX.left) / w;
    read(curve.quantile.reduce((best, value, i) => (Math.abs(value - q) < Math.abs(curve.quantile[best] - q) ? i : best), 0));
  });
  node.addEventListener("pointerleave", () => cursor.setAttribute("visibility", "hidden"));
  arrows(node, (dx) => read(at + dx), () => read(at));
  return node;
}

/** Draw the trials, those above the axis or without a value as crosses in a lane at its top; say how many. */
function dots(node, { trials, metric, parameter, range, x, y }) {
  let [above, without] = [0, 0];
  trials.quantiles[parameter.name].forEach((q, i) => {
    const value = trials.values[metric.name][i];
    without += value === null;
    above += value > range[1];
    const dot = value === null || value > range[1]
      ? svg("text", { x: x(q), y: BOX.top - 6, "text-anchor": "middle" }, "✕")
      : svg("circle", { class: "trial", cx: x(q).toFixed(1), cy: y(value).toFixed(1), r: 2.2 });
    dot.append(svg("title", {}, `trial ${trials.key[i]}: ${value === null ? "no value" : `${written(value, 4)}${unit(metric)}`} (${trials.words[i]})`));
    node.append(dot);
  });
  return [above && `${above} ✕ above`, without && `${without} ✕ without a value`].filter(Boolean).join(", ");
}

function arrows(node, move, start) {
  node.addEventListener("focus", () => node.matches(":focus-visible") && start());
  node.addEventListener("keydown", (event) => {
    const by = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, 1], ArrowDown: [0, -1] }[event.key];
    if (!by) return;
    event.preventDefault();
    move(...by);
  });
}

// ---- maps ---------------------------------------------------------------------------------------

const MAP = { width: 210, height: 196, left: 40, right: 10, top: 22, bottom: 36 };

function map({ entry, shown, parameters, share, range, metric, tell }) {
  const { w, h } = plotted(MAP), [first, second] = [entry.first, entry.second].map((name) => parameters.find((p) => p.name === name));
  const x = (q) => MAP.left + q * w, y = (q) => MAP.top + (1 - q) * h;
  const node = svg("svg", { viewBox: `0 0 ${MAP.width} ${MAP.height}`, tabindex: 0, role: "img", "data-pair": `${first.name} × ${second.name}`, "aria-label": `${second.words} over ${first.words}${share === null ? "" : `, ${percent(share)} of the variance`}. Arrow keys read the map.` });
  const colour = shown === "mean" ? (v) => viridis((v - range[0]) / (range[1] - range[0] || 1)) : (v) => diverging(v / range[1]);
  const rect = (i, j, more) => svg("rect", { "shape-rendering": "crispEdges", x: x(entry.x_edges[i]), y: y(entry.y_edges[j + 1]), width: x(entry.x_edges[i + 1]) - x(entry.x_edges[i]) + 0.3, height: y(entry.y_edges[j]) - y(entry.y_edges[j + 1]) + 0.3, ...more });
  entry[shown].forEach((column, i) => column.forEach((value, j) => node.append(rect(i, j, { fill: colour(value) }))));
  node.append(svg("rect", { x: x(0), y: y(1), width: w, height: h, fill: "none", class: "rule" }));
  node.append(svg("text", { class: "title", x: 2, y: 12 }, `${second.words} ↑${share === null ? "" : ` · ${percent(share)}`}`));
  bottom(node, MAP, first.ticks, h, w, first.words);
  second.ticks.forEach(([place, words]) => node.append(svg("text", { x: MAP.left - 5, y: y(Number(place)) + 4 + 4 * (Number(place) - 0.5), "text-anchor": "end" }, words)));
  const cursor = svg("g");
  node.append(cursor);
  let at = [Math.floor(entry.x.length / 2), Math.floor(entry.y.length / 2)];
  const read = (i, j) => {
    at = [[i, entry.x], [j, entry.y]].map(([k, side]) => Math.min(side.length - 1, Math.max(0, k)));
    cursor.replaceChildren(rect(...at, { class: "here" }));
    const [mean, beyond] = ["mean", "interaction"].map((name) => entry[name][at[0]][at[1]]);
    tell(`${first.words} ${written(entry.x[at[0]])}, ${second.words} ${written(entry.y[at[1]])}: mean ${metric.words} ${written(mean, 4)}, ${beyond < 0 ? "" : "+"}${written(beyond, 2)} beyond the main effects${unit(metric, ", ")}`);
  };
  const cell = (edges, q) => Math.max(0, edges.findLastIndex((edge) => edge <= q));
  node.addEventListener("pointermove", (event) => {
    const place = node.getBoundingClientRect(), scale = MAP.width / place.width;
    const [q, r] = [((event.clientX - place.left) * scale - MAP.left) / w, 1 - ((event.clientY - place.top) * scale - MAP.top) / h];
    if (q >= 0 && q <= 1 && r >= 0 && r <= 1) read(cell(entry.x_edges, q), cell(entry.y_edges, r));
  });
  node.addEventListener("pointerleave", () => cursor.replaceChildren());
  arrows(node, (dx, dy) => read(at[0] + dx, at[1] + dy), () => read(...at));
  return node;
}

// ---- shares and numbers -------------------------------------------------------------------------

function shareTable(entry) {
  const rows = entry.shares.map((row) => {
    const [from, to] = [row.low, row.high].map((end) => 100 * Math.min(1, Math.max(0, end ?? 0)));
    const bar = svg("svg", { viewBox: "0 0 100 14", preserveAspectRatio: "none", "aria-hidden": "true" },
      svg("rect", { class: "share", x: 0, y: 2, width: 100 * Math.min(1, Math.max(0, row.share ?? 0)), height: 10 }));
    if (row.low !== null) bar.append(svg("line", { class: "whisker", x1: from, x2: to, y1: 7, y2: 7 }));
    return html("tr", { class: row.parameters === "rest" ? "rest" : "effect", "data-effect": row.parameters },
      html("th", { scope: "row" }, row.parameters === "rest" ? "higher orders" : row.words), html("td", { class: "bar" }, bar),
      html("td", { class: "number" }, row.share === null ? "—" : percent(row.share)), html("td", { class: "number" }, interval(row)));
  });
  return html("table", { class: "shares" }, html("tbody", {}, ...rows));
}

function numberTable(entry, parameters, metric) {
  const head = ["", "value", "mean", "90 % band from", "to"].map((words) => html("th", { scope: "col", class: words && "number" }, words));
  const rows = parameters.flatMap((p) => entry.curves[p.name].value.map((value, i) => {
    const c = entry.curves[p.name];
    return html("tr", { "data-parameter": p.name }, html("th", { scope: "row" }, p.words),
      ...[written(value), ...[c.mean[i], c.low[i], c.high[i]].map((v) => written(v, 5))].map((text) => html("td", { class: "number" }, text)));
  }));
  return html("details", { class: "numbers" }, html("summary", {}, `The curves as numbers (${metric.words}${unit(metric, ", ")})`),
    html("div", { class: "scroll", tabindex: 0 }, html("table", {}, html("thead", {}, html("tr", {}, ...head)), html("tbody", {}, ...rows))));
}

function sentence(data, variant, metric, entry) {
  const first = entry.shares[0], sure = first.low === null ? "" : ` (90 % interval ${interval(first)})`;
  const lost = [entry.diverged && `${entry.diverged} diverged`, entry.capped && `${entry.capped} set to the cap`].filter(Boolean).join(", ");
  const share = first.share === null ? "Nothing can be shared out: there is no variance beyond noise."
    : `The ${first.words} explains ${percent(first.share)} of the variance${sure}.`;
  const weak = entry.weak ? " The forest hardly predicts these trials, so its shares are not ranked." : "";
  const note = entry.note ? ` No intervals: ${entry.note}.` : "";
  return `${variant}, ${data.task}, ${metric.words}: ${share}${weak} ${entry.n} trials${lost ? ` (${lost})` : ""}, R² of trials not seen ${MINUS(entry.fit.toFixed(2))}.${note}`;
}

// ---- the whole ----------------------------------------------------------------------------------

function render({ model, el }) {
  const data = model.get("data"), first = { variant: data.variants[0].name, metric: data.metrics[0].name, beside: false, shown: "mean" };
  const state = { ...first }, kept = ["variant", "metric"];
  let choosing = false;
  const choose = (changes) => {
    Object.assign(state, changes);
    choosing = true; // the model tells of each change before the next one is made
    for (const name of kept) model.set(name, state[name]);
    choosing = false;
    model.save_changes();
    draw();
  };
  const follow = () => {
    if (choosing) return;
    for (const name of kept) state[name] = model.get(name);
    draw();
  };
  const menu = (name, words, options) => {
    const select = html("select", { name, onchange: () => choose({ [name]: select.value }) }, ...options.map(([value, text]) => html("option", { value }, text)));
    return html("label", {}, words, select);
  };
  const beside = html("input", { type: "checkbox", onchange: () => choose({ beside: beside.checked }) });
  const besideLabel = html("label", {}, beside, `${first.variant} beside it, dotted`);
  const controls = html("div", { class: "controls" }, menu("variant", "variant", data.variants.map((v) => [v.name, v.name])),
    menu("metric", "measured", data.metrics.map((m) => [m.name, m.words])), besideLabel,
    html("button", { type: "button", class: "reset", onclick: () => choose(first) }, "Reset"));
  const words = html("p", { class: "sentence", "aria-live": "polite" }), body = html("div"), maps = html("div");
  const pairs = html("section", {}, html("h4", {}, "Pairs"),
    html("div", { class: "controls" }, menu("shown", "maps of", [["mean", "the mean"], ["interaction", "what is beyond both alone"]])), maps);
  const numbers = html("div");
  const root = html("div", { class: "odyssey-marginals", role: "group", "aria-label": "Marginals, shares and pair maps" }, controls, words, body, pairs, numbers,
    html("p", { class: "legend" }, data.study));
  root.addEventListener("keydown", (event) => event.key === "Escape" && choose(first));
  el.append(root);
  for (const name of kept) model.on(`change:${name}`, follow);

  function draw() {
    const metric = data.metrics.find((m) => m.name === state.metric), colours = data.variants.find((v) => v.name === state.variant);
    root.style.setProperty("--mark-light", colours.light);
    root.style.setProperty("--mark-dark", colours.dark);
    for (const select of root.querySelectorAll("select")) select.value = state[select.name];
    beside.checked = state.beside;
    besideLabel.style.visibility = state.variant === first.variant ? "hidden" : "visible";
    const entry = data.models[state.variant][state.metric], open = numbers.querySelector("details")?.open;
    pairs.hidden = !entry.maps?.length;
    if (entry.missing) {
      words.textContent = `${state.variant}, ${data.task}, ${metric.words}: nothing to show. ${entry.missing}.`;
      for (const part of [body, maps, numbers]) part.replaceChildren();
      return;
    }
    words.textContent = sentence(data, state.variant, metric, entry);
    const other = state.beside && state.variant !== first.variant ? data.models[first.variant][state.metric] : null;
    const reading = html("output", {});
    const trials = data.trials[state.variant], usable = other && !other.missing ? other : null;
    const range = valueRange(usable ? [entry, usable] : [entry], trials.values[state.metric]);
    const ordered = entry.shares.map((row) => data.parameters.find((p) => p.name === row.parameters)).filter(Boolean);
    const panels = ordered.map((parameter) => marginal({ parameter, entry, beside: usable, trials, metric, range, tell: (text) => (reading.textContent = text) }));
    body.replaceChildren(html("h4", {}, "Shares of the variance"), shareTable(entry),
      html("h4", {}, `Mean ${metric.words} along each${unit(metric, ", ")}`), html("div", { class: "grid panels" }, ...panels), reading);
    maps.replaceChildren(...(entry.maps.length ? drawnMaps(entry, metric) : []));
    numbers.replaceChildren(numberTable(entry, ordered, metric));
    numbers.firstChild.open = Boolean(open);
  }

  function drawnMaps(entry, metric) {
    const reading = html("output", {});
    const values = entry.maps.flatMap((one) => one[state.shown].flat());
    const most = Math.max(...values.map(Math.abs)) || 1;
    const range = state.shown === "mean" ? [Math.min(...values), Math.max(...values)] : [-most, most];
    const share = (one) => entry.shares.find((row) => [`${one.first} × ${one.second}`, `${one.second} × ${one.first}`].includes(row.parameters)).share;
    const drawn = [...entry.maps].sort((a, b) => share(b) - share(a)).map((one) =>
      map({ entry: one, shown: state.shown, parameters: data.parameters, share: share(one), range, metric, tell: (text) => (reading.textContent = text) }));
    const stops = state.shown === "mean" ? [0, 0.25, 0.5, 0.75, 1].map(viridis) : [-1, 0, 1].map(diverging);
    return [html("div", { class: "legend" }, written(range[0]), html("span", { class: "ramp", style: `background: linear-gradient(90deg, ${stops.join(", ")})` }), `${written(range[1])}${unit(metric)}, ${state.shown === "mean" ? "dark" : "blue"} is better`),
      html("div", { class: "grid maps" }, ...drawn), reading];
  }

  follow();
  return () => kept.forEach((name) => model.off(`change:${name}`, follow));
}

export default { render };
