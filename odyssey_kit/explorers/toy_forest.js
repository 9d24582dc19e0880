/* A forest of two settings that can be touched: its boxes, their averages along each side, and the shares.

   The data are leaf boxes as `FunctionalANOVA.to_json` gives them, with cuts, ranges of cells and values. All sums are
   done here: a click on a box raises it, the ends of the range narrow the space, and everything follows. */

const SVG = "http://www.w3.org/2000/svg";
const SIZE = 240, STRIP = 70, GAP = 10, PAD = 34;

const make = (name, attributes = {}, text = "") => {
  const node = name === "svg" || SHAPES.has(name) ? document.createElementNS(SVG, name) : document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) node.setAttribute(key, value);
  if (text) node.textContent = text;
  return node;
};
const SHAPES = new Set(["g", "rect", "path", "text", "line"]);

// ---- sums over boxes ------------------------------------------------------------------------

/** Boxes of some trees as plain corners; each tree counts with its part. */
export function corners(trees, chosen) {
  const picked = chosen < 0 ? trees : [trees[chosen]];
  return picked.flatMap((tree, t) => {
    const cuts = tree.cuts.map((inner) => [0, ...inner, 1]);
    return tree.value.map((value, leaf) => ({
      tree: chosen < 0 ? t : chosen, leaf, value, part: 1 / picked.length,
      low: cuts.map((c, k) => c[tree.start[k][leaf]]), high: cuts.map((c, k) => c[tree.stop[k][leaf]]),
    }));
  });
}

/** Mean, variances of both main effects, of the whole, and the curves, over [low, high] of each setting. */
export function decompose(boxes, range) {
  const width = (box, k) =>
    Math.max(0, Math.min(box.high[k], range[k][1]) - Math.max(box.low[k], range[k][0])) / (range[k][1] - range[k][0]);
  const cuts = [0, 1].map((k) => {
    const inside = boxes.flatMap((b) => [b.low[k], b.high[k]]).filter((c) => c > range[k][0] && c < range[k][1]);
    return [...new Set([range[k][0], ...inside, range[k][1]])].sort((a, b) => a - b);
  });
  let mean = 0;
  for (const box of boxes) mean += box.part * box.value * width(box, 0) * width(box, 1);
  const steps = (k) => cuts[k].slice(1).map((end, i) => ({ start: cuts[k][i], end, middle: (cuts[k][i] + end) / 2 }));
  const covers = (box, k, at) => box.low[k] < at && at <= box.high[k];
  const curves = [0, 1].map((k) => steps(k).map((cell) => ({
    ...cell,
    value: boxes.reduce((sum, b) => sum + (covers(b, k, cell.middle) ? b.part * b.value * width(b, 1 - k) : 0), 0),
  })));
  const size = (cell, k) => (cell.end - cell.start) / (range[k][1] - range[k][0]);
  const main = curves.map((curve, k) => curve.reduce((sum, c) => sum + size(c, k) * (c.value - mean) ** 2, 0));
  let total = 0;
  for (const x of steps(0)) for (const y of steps(1)) {
    const value = boxes.reduce((s, b) => s + (covers(b, 0, x.middle) && covers(b, 1, y.middle) ? b.part * b.value : 0), 0);
    total += size(x, 0) * size(y, 1) * (value - mean) ** 2;
  }
  return { mean, main, total, curves };
}

// ---- the view -------------------------------------------------------------------------------

const shade = (value, low, high) => {
  const t = high > low ? (value - low) / (high - low) : 0.5;
  // From dark blue (low is good) over green to yellow, even in lightness.
  const stops = [[68, 1, 84], [59, 82, 139], [33, 145, 140], [94, 201, 98], [253, 231, 37]];
  const place = Math.min(3.999, Math.max(0, t) * 4), i = Math.floor(place), f = place - i;
  return `rgb(${stops[i].map((c, k) => Math.round(c + f * (stops[i + 1][k] - c))).join(",")})`;
};
const percent = (x) => (x < 0.005 && x > -0.005 ? "0 %" : `${Math.round(100 * x)} %`);

function render({ model, el }) {
  const data = model.get("forest"), names = data.parameters.map((p) => p.name.replaceAll("_", " "));
  const fresh = () => ({ trees: structuredClone(data.trees), chosen: 0, range: [[0, 1], [0, 1]] });
  let state = fresh();
  const spread = data.trees.flatMap((t) => t.value);
  const ends = [Math.min(...spread), Math.max(...spread)], step = (ends[1] - ends[0]) / 6;

  const root = make("div", { class: "odyssey-toy" });
  const style = make("style", {}, `
    .odyssey-toy { font: 0.95rem/1.5 inherit; max-width: 44rem; }
    .odyssey-toy .toy-row { display: flex; flex-wrap: wrap; gap: .5rem; align-items: center; margin: .4rem 0; }
    .odyssey-toy button { min-height: 36px; padding: 0 .8rem; border: 1px solid #7b8794; background: transparent;
      color: inherit; border-radius: 4px; font: inherit; cursor: pointer; }
    .odyssey-toy button[aria-pressed=true] { background: #1f2933; color: #fff; border-color: #1f2933; }
    html[data-theme=dark] .odyssey-toy button[aria-pressed=true] { background: #e6e9ee; color: #14181d; }
    .odyssey-toy input { accent-color: #0072b2; width: 9rem; }
    .odyssey-toy svg { width: 100%; max-width: ${SIZE + STRIP + GAP + PAD}px; height: auto; display: block; }
    .odyssey-toy svg text { font-size: 11px; fill: currentColor; }
    .odyssey-toy rect.box { stroke: #fff; stroke-width: 1; cursor: pointer; }
    .odyssey-toy rect.box:focus, .odyssey-toy rect.box:hover { stroke: #d55e00; stroke-width: 3; outline: none; }
    .odyssey-toy rect.out { fill: #fff; fill-opacity: .72; pointer-events: none; }
    html[data-theme=dark] .odyssey-toy rect.out { fill: #14181d; }
    .odyssey-toy path { fill: none; stroke: currentColor; stroke-width: 1.5; }
    .odyssey-toy .bar { height: 14px; display: inline-block; vertical-align: middle; }`);
  const buttons = make("div", { class: "toy-row", role: "group", "aria-label": "Which tree" });
  const labels = [...data.trees.map((_, t) => `tree ${t + 1}`), "their average"];
  labels.forEach((label, t) => {
    const button = make("button", { type: "button" }, label);
    button.addEventListener("click", () => { state.chosen = t < data.trees.length ? t : -1; draw(); });
    buttons.append(button);
  });
  const reset = make("button", { type: "button" }, "reset");
  reset.addEventListener("click", () => { state = fresh(); sliders.forEach((s) => (s.value = s.dataset.start)); draw(); });
  buttons.append(reset);
  const svg = make("svg", { viewBox: `0 0 ${SIZE + STRIP + GAP + PAD} ${SIZE + STRIP + GAP + PAD}`, role: "img" });
  const controls = make("div", { class: "toy-row" });
  const sliders = [0, 1].map((end) => {
    const label = make("label", {}, end ? "to " : `${names[0]}: only from `);
    const slider = make("input", { type: "range", min: 0, max: 100, value: end ? 100 : 0, "data-start": end ? 100 : 0 });
    slider.addEventListener("input", () => {
      const other = state.range[0][1 - end], value = Number(slider.value) / 100;
      state.range[0][end] = end ? Math.max(value, other + 0.05) : Math.min(value, other - 0.05);
      slider.value = 100 * state.range[0][end]; // the knob stays where the range ends
      draw();
    });
    label.append(slider);
    controls.append(label);
    return slider;
  });
  const words = make("p", { "aria-live": "polite", class: "words" });
  root.append(style, buttons, words, svg, controls);
  el.append(root);

  const raise = (box, by) => {
    const value = state.trees[box.tree].value, next = value[box.leaf] + by * step;
    value[box.leaf] = next > ends[1] + step / 2 ? ends[0] : Math.max(ends[0] - step, next);
    draw();
  };

  function draw() {
    [...buttons.children].forEach((button, t) => {
      if (t < labels.length) button.setAttribute("aria-pressed", (state.chosen < 0 ? labels.length - 1 : state.chosen) === t);
    });
    const boxes = corners(state.trees, state.chosen), found = decompose(boxes, state.range);
    const [a, b] = found.main.map((v) => v / (found.total || 1)), both = found.total ? 1 - a - b : 0;
    words.textContent = found.total < 1e-12
      ? "The function is constant here: there is no variance to share out."
      : `Of the variance, ${names[0]} alone explains ${percent(a)}, ${names[1]} alone ${percent(b)}, and only both together ${percent(both)}.`;
    svg.setAttribute("aria-label", words.textContent);
    svg.replaceChildren();
    const x = (u) => PAD + u * SIZE, y = (u) => STRIP + GAP + (1 - u) * SIZE;
    // The average is drawn on the grid of all cuts, a single tree as its boxes.
    const shown = state.chosen < 0 ? overlaid(boxes) : boxes;
    for (const box of shown) {
      const rect = make("rect", {
        class: "box", x: x(box.low[0]), y: y(box.high[1]), width: (box.high[0] - box.low[0]) * SIZE,
        height: (box.high[1] - box.low[1]) * SIZE, fill: shade(box.value, ends[0], ends[1]),
      });
      if (state.chosen >= 0) {
        rect.setAttribute("tabindex", 0);
        rect.setAttribute("role", "button");
        rect.setAttribute("aria-label", `box with value ${box.value.toFixed(2)}; press to raise it`);
        rect.addEventListener("click", () => raise(box, 1));
        rect.addEventListener("keydown", (event) => {
          const by = { Enter: 1, " ": 1, ArrowUp: 1, ArrowDown: -1 }[event.key];
          if (by) { event.preventDefault(); raise(box, by); }
        });
      } else rect.style.cursor = "default";
      svg.append(rect);
    }
    const [from, to] = state.range[0];
    svg.append(make("rect", { class: "out", x: x(0), y: y(1), width: from * SIZE, height: SIZE }));
    svg.append(make("rect", { class: "out", x: x(to), y: y(1), width: (1 - to) * SIZE, height: SIZE }));
    const high = (v) => 4 + (STRIP - 8) * ((v - ends[0]) / (ends[1] - ends[0] || 1));
    const top = found.curves[0].map((c) => `${x(c.start)} ${STRIP - high(c.value)} H ${x(c.end)}`).join(" L ");
    svg.append(make("path", { d: `M ${top}` }));
    const side = found.curves[1].map((c) => `${PAD + SIZE + GAP + high(c.value)} ${y(c.start)} V ${y(c.end)}`).join(" L ");
    svg.append(make("path", { d: `M ${side}` }));
    svg.append(make("text", { x: x(0.5), y: STRIP + GAP + SIZE + 22, "text-anchor": "middle" }, `${names[0]} →`));
    svg.append(make("text", { x: 14, y: y(0.5), "text-anchor": "middle", transform: `rotate(-90 14 ${y(0.5)})` }, `${names[1]} →`));
    svg.append(make("text", { x: x(0), y: 10 }, `mean along ${names[0]}`));
  }

  function overlaid(boxes) {
    const cuts = [0, 1].map((k) => [...new Set(boxes.flatMap((b) => [b.low[k], b.high[k]]))].sort((p, q) => p - q));
    return cuts[0].slice(1).flatMap((right, i) => cuts[1].slice(1).map((up, j) => {
      const low = [cuts[0][i], cuts[1][j]], middle = [(low[0] + right) / 2, (low[1] + up) / 2];
      const value = boxes.reduce((s, b) =>
        s + (b.low[0] < middle[0] && middle[0] <= b.high[0] && b.low[1] < middle[1] && middle[1] <= b.high[1] ? b.part * b.value : 0), 0);
      return { low, high: [right, up], value };
    }));
  }

  draw();
}

export default { render };
