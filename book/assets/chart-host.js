/* Draws the charts of a built page, with no network and no dependency but the Vega bundle beside this file.

   A chart is  <div class="odyssey-chart"><script type="application/json">SPEC</script></div>.
   A table that the spec names "odyssey-..." stands either in a second script of the same div (data-odyssey-table), or in
   odyssey-data/<name>.js, which is loaded once for all charts that name it: a script, because a page opened as a file
   may not fetch. When a chart is drawn its div has data-ready (or data-failed) and the Vega view as `_view`. */
(() => {
  "use strict";
  const STATIC = new URL(".", document.currentScript.src).href;
  const ROOT = document.documentElement;
  const TABLES = (window.OdysseyTables = window.OdysseyTables || {});
  const isDark = () => ROOT.dataset.theme === "dark";

  // --- Loading --------------------------------------------------------------------------------------------------
  const loading = new Map();
  const loadScript = (url) => {
    if (!loading.has(url)) {
      loading.set(url, new Promise((resolve, reject) => {
        const script = document.createElement("script");
        script.src = url;
        script.onload = resolve;
        script.onerror = () => reject(new Error(`could not load ${url}`));
        document.head.append(script);
      }));
    }
    return loading.get(url);
  };

  const tableNames = (node, found = new Set()) => {
    if (node && typeof node === "object") {
      const name = !Array.isArray(node) && node.data && node.data.name;
      if (typeof name === "string" && name.startsWith("odyssey-")) found.add(name);
      Object.values(node).forEach((child) => tableNames(child, found));
    }
    return found;
  };

  const rowsOf = (table) => {
    const columns = table.columns && !Array.isArray(table.columns) ? table.columns : table;
    const names = Object.keys(columns);
    const length = names.length ? columns[names[0]].length : 0;
    return Array.from({ length }, (_, i) => Object.fromEntries(names.map((name) => [name, columns[name][i]])));
  };

  async function loadTable(chart, name) {
    const inline = chart.querySelector(`script[data-odyssey-table="${name}"]`);
    if (!TABLES[name] && inline) TABLES[name] = JSON.parse(inline.textContent);
    if (!TABLES[name]) await loadScript(`${STATIC}odyssey-data/${name}.js`);
    if (!TABLES[name]) throw new Error(`table ${name} is missing`);
    return rowsOf(TABLES[name]);
  }

  // A canvas does not redraw itself when a font arrives, so the font comes first.
  const fontReady = () => Promise.race([
    Promise.all(['13px "Inter Variable"', '600 13px "Inter Variable"'].map((f) => document.fonts.load(f, "aη"))),
    new Promise((resolve) => setTimeout(resolve, 3000)),
  ]).catch(() => {});

  // --- Dark mode ------------------------------------------------------------------------------------------------
  const recolour = (node, colours) => {
    if (typeof node === "string") return colours[node.toLowerCase()] ?? node;
    if (Array.isArray(node)) return node.map((child) => recolour(child, colours));
    if (!node || typeof node !== "object") return node;
    return Object.fromEntries(Object.entries(node).map(([key, child]) =>
      [key, key === "usermeta" ? child : recolour(child, colours)]));
  };

  // Stands below the spec's own config: it only speaks where the spec says nothing.
  const baseConfig = (dark) => {
    const ink = dark ? "#e6e9ee" : "#1f2933", soft = dark ? "#a8b3be" : "#52606d", line = dark ? "#323a45" : "#e4e7eb";
    return {
      background: "transparent",
      font: '"Inter Variable", system-ui, sans-serif',
      axis: { labelColor: soft, titleColor: ink, gridColor: line, tickColor: line, domainColor: line },
      legend: { labelColor: soft, titleColor: ink },
      header: { labelColor: ink, titleColor: ink },
      title: { color: ink, subtitleColor: soft },
      text: { color: ink },
      view: { stroke: "transparent" },
    };
  };

  function themed(spec, dark) {
    const mapping = spec.usermeta?.odyssey?.dark ?? {};
    const colours = Object.fromEntries(Object.entries(mapping).map(([from, to]) => [from.toLowerCase(), to]));
    const painted = dark ? recolour(spec, colours) : { ...spec };
    painted.config = { ...painted.config, background: "transparent" };
    if (painted.background) painted.background = "transparent";
    return painted;
  }

  // --- Narrow columns -------------------------------------------------------------------------------------------
  // A chart of several panels may note (usermeta.odyssey.narrow: below, columns, width) how it fits a phone.
  const isNarrow = (chart) => {
    const note = chart._spec?.usermeta?.odyssey?.narrow;
    return Boolean(note) && chart._spec.width !== "container" && chart.clientWidth < note.below;
  };

  const narrowed = (part, note) => {
    if (Array.isArray(part)) return part.map((child) => narrowed(child, note));
    if (!part || typeof part !== "object") return part;
    const fitted = { ...part };
    if ("columns" in part && ("concat" in part || "facet" in part)) fitted.columns = note.columns;
    if (typeof part.width === "number" && ("mark" in part || "layer" in part)) fitted.width = note.width;
    ["spec", "layer", "concat", "hconcat", "vconcat"].forEach((key) => {
      if (part[key]) fitted[key] = narrowed(part[key], note);
    });
    return fitted;
  };

  // --- Drawing --------------------------------------------------------------------------------------------------
  const parts = (chart) => {
    if (!chart._parts) {
      const mount = document.createElement("div");
      mount.className = "odyssey-chart-mount";
      mount.addEventListener("pointerdown", announce, { capture: true });
      const tools = document.createElement("div");
      tools.className = "odyssey-chart-tools";
      chart.append(mount, tools);
      chart._parts = { mount, tools };
    }
    return chart._parts;
  };

  const params = (node, found = []) => {
    if (Array.isArray(node)) node.forEach((child) => params(child, found));
    else if (node && typeof node === "object") {
      found.push(...(node.params ?? []).filter((p) => p.select || p.bind).map((p) => p.name));
      ["layer", "concat", "hconcat", "vconcat", "spec"].forEach((key) => params(node[key], found));
    }
    return found;
  };

  // What the reader has chosen, to be taken along when the chart is drawn anew in another theme. The signals left out
  // are movements of the hand: set again, they would move the brush.
  const MOVEMENT = /_((translate|zoom)_(anchor|delta)|scale_trigger|tuple_fields|modify)$/;
  const chosen = (chart, view = chart._view) => {
    const names = params(chart._spec);
    const ours = (name) => names.some((param) => name === param || name.startsWith(`${param}_`)) && !MOVEMENT.test(name);
    return view?.getState({ signals: ours, data: (name) => name.endsWith("_store") && ours(name) });
  };

  // A chart of other panels than before (a table that is drawn anew, another width) starts from its beginning.
  const sameShape = (a, b) => {
    const [left, right] = [a.subcontext ?? [], b.subcontext ?? []];
    return left.length === right.length && left.every((part, i) => sameShape(part, right[i]));
  };

  async function prepare(chart) {
    if (chart._spec) return;
    const spec = JSON.parse(chart.querySelector('script[type="application/json"]').textContent);
    const tables = await Promise.all([...tableNames(spec)].map(async (name) => [name, await loadTable(chart, name)]));
    spec.datasets = { ...spec.datasets, ...Object.fromEntries(tables) };
    chart._spec = spec;
  }

  async function draw(chart, { keep = false } = {}) {
    const turn = (chart._turn = (chart._turn ?? 0) + 1);
    const { mount, tools } = parts(chart);
    delete chart.dataset.ready;
    delete chart.dataset.failed;
    try {
      await Promise.all([loadScript(`${STATIC}vendor/vega.bundle.js`), fontReady(), prepare(chart)]);
      if (turn !== chart._turn) return;
      const dark = isDark(), state = keep ? chosen(chart) : undefined;
      mount.style.minHeight = `${mount.offsetHeight}px`; // the page does not jump while the chart is replaced
      chart._view?.finalize();
      chart._narrow = isNarrow(chart);
      const spec = chart._narrow ? narrowed(chart._spec, chart._spec.usermeta.odyssey.narrow) : chart._spec;
      const { view } = await window.vegaEmbed(mount, themed(spec, dark), {
        actions: false, renderer: "canvas", config: baseConfig(dark), tooltip: { theme: dark ? "dark" : "light" },
      });
      if (turn !== chart._turn) return view.finalize();
      if (state && sameShape(state, chosen(chart, view))) await view.setState(state).runAsync();
      chart._view = view;
      mount.style.minHeight = "";
      settle(chart, mount);
      if (!tools.children.length) addTools(chart, tools);
      chart.dataset.ready = "1";
    } catch (error) {
      if (turn !== chart._turn) return;
      console.error("chart failed:", error);
      mount.textContent = `This chart could not be drawn: ${error.message}`;
      mount.style.minHeight = "";
      chart.dataset.failed = error.message || "1";
    }
  }

  // A finger does not move before it touches, but Vega asks the last movement what lies below a press. So the press is
  // announced by the movement that a mouse would have made; without it a brush starts on nothing.
  const announce = (event) => {
    if (event.pointerType !== "touch" || !event.isPrimary || event.target.tagName !== "CANVAS") return;
    const { clientX, clientY, screenX, screenY, pointerId, pointerType } = event;
    const place = { clientX, clientY, screenX, screenY, bubbles: true, cancelable: true };
    event.target.dispatchEvent(new PointerEvent("pointermove", { ...place, pointerId, pointerType, isPrimary: true }));
    event.target.dispatchEvent(new MouseEvent("mousemove", place));
  };

  // A chart wider than the column scrolls sideways; one that fits leaves sideways drags to its brush.
  function settle(chart, mount) {
    const scrolls = mount.scrollWidth > mount.clientWidth + 1;
    mount.classList.toggle("odyssey-scrolls", scrolls);
    if (scrolls) mount.tabIndex = 0;
    else mount.removeAttribute("tabindex");
  }

  // --- Reset and data -------------------------------------------------------------------------------------------
  const button = (label, title, action) => {
    const element = document.createElement("button");
    Object.assign(element, { type: "button", className: "odyssey-button", textContent: label, title, onclick: action });
    return element;
  };

  const tablesOf = (spec) => {
    const found = Object.values(spec.datasets ?? {});
    const walk = (node) => {
      if (!node || typeof node !== "object") return;
      if (Array.isArray(node.data?.values)) found.push(node.data.values);
      Object.entries(node).forEach(([key, child]) => key !== "datasets" && key !== "data" && walk(child));
    };
    walk(spec);
    const tables = found.filter((rows) => Array.isArray(rows) && rows.length && typeof rows[0] === "object");
    const long = tables.filter((rows) => rows.length > 1); // a single row is a rule or a label, not the data
    return (long.length ? long : tables).sort((a, b) => b.length - a.length);
  };

  const columnsOf = (rows) => [...new Set(rows.flatMap((row) => Object.keys(row)))];

  const csv = (rows) => {
    const names = columnsOf(rows);
    const cell = (value) => {
      const text = value === null || value === undefined ? "" : typeof value === "object" ? JSON.stringify(value) : `${value}`;
      return /[",\n\r]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
    };
    return [names, ...rows.map((row) => names.map((name) => row[name]))].map((r) => r.map(cell).join(",")).join("\r\n") + "\r\n";
  };

  function download(rows, name) {
    const link = document.createElement("a");
    link.href = URL.createObjectURL(new Blob([csv(rows)], { type: "text/csv" }));
    link.download = name;
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 10000);
  }

  function addTools(chart, tools) {
    if (params(chart._spec).length) tools.append(button("Reset", "Back to the chart as it was (Escape)", () => draw(chart)));
    const page = location.pathname.split("/").pop().replace(/\.html$/, "") || "page";
    const base = chart._spec.usermeta?.odyssey?.name ?? `${page}-${charts.indexOf(chart) + 1}`;
    const tables = tablesOf(chart._spec);
    tables.forEach((rows, i) => {
      const count = `${rows.length.toLocaleString("en")} rows`;
      const which = `${i + 1} of ${tables.length}`;
      const [label, name] = tables.length > 1 ? [`Data ${which} (${count})`, `${base}-${i + 1}.csv`] : ["Data", `${base}.csv`];
      tools.append(button(label, `Save ${count} as a CSV file: ${columnsOf(rows).join(", ")}`, () => download(rows, name)));
    });
  }

  // --- Search ---------------------------------------------------------------------------------------------------
  // A page opened as a file may not fetch the pages that a search found: it lists them without their excerpts.
  if (location.protocol === "file:" && typeof DOCUMENTATION_OPTIONS !== "undefined") {
    DOCUMENTATION_OPTIONS.SHOW_SEARCH_SUMMARY = false;
  }

  // --- When to draw ---------------------------------------------------------------------------------------------
  const charts = [];
  const seen = new IntersectionObserver((entries) => entries.filter((e) => e.isIntersecting).forEach((entry) => {
    seen.unobserve(entry.target);
    draw(entry.target);
  }), { rootMargin: "400px" });

  // "container" widths follow the window only; the column also changes when a sidebar opens.
  const widths = new WeakMap();
  const resized = new ResizeObserver((entries) => entries.forEach(({ target, contentRect }) => {
    const before = widths.get(target), now = Math.round(contentRect.width);
    widths.set(target, now);
    if (before === undefined || before === now || !target.dataset.ready) return;
    if (isNarrow(target) !== target._narrow) return draw(target, { keep: true });
    window.dispatchEvent(new Event("resize"));
    return requestAnimationFrame(() => settle(target, target._parts.mount));
  }));

  const adopt = (root) => root.querySelectorAll(".odyssey-chart").forEach((chart) => {
    if (charts.includes(chart)) return;
    charts.push(chart);
    seen.observe(chart);
    resized.observe(chart);
  });

  adopt(document);
  document.addEventListener("odyssey:content", (event) => adopt(event.target)); // charts that came later
  document.addEventListener("keydown", (event) => {
    if (event.key !== "Escape") return;
    charts.filter((chart) => chart.dataset.ready && chart.matches(":hover, :focus-within")).forEach((chart) => draw(chart));
  });
  let theme = isDark();
  new MutationObserver(() => {
    if (theme === isDark()) return;
    theme = isDark();
    charts.filter((chart) => chart._turn).forEach((chart) => draw(chart, { keep: true }));
  }).observe(ROOT, { attributes: true, attributeFilter: ["data-theme"] });
})();
