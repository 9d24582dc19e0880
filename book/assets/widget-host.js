/* Brings the widgets of a built page to life without a kernel.

   The page holds the state of every widget as it was when the book was built. An anywidget keeps its logic in its own
   ES module, so it is mounted here and works; a control whose logic is Python is shown as it was, and says so. */
(() => {
  "use strict";
  const STATE = 'script[type="application/vnd.jupyter.widget-state+json"]';
  const VIEW = 'script[type="application/vnd.jupyter.widget-view+json"]';
  const saved = {};
  document.querySelectorAll(STATE).forEach((script) => Object.assign(saved, JSON.parse(script.textContent).state));
  const idOf = (reference) => String(reference).replace(/^(IPY_MODEL_|anywidget:)/, "");

  // --- Models ---------------------------------------------------------------------------------------------------
  const decode = ({ data, encoding }) => {
    if (encoding && encoding !== "base64") throw new Error(`buffers in ${encoding} are not read here`);
    return new DataView(Uint8Array.from(atob(data), (character) => character.charCodeAt(0)).buffer);
  };

  function makeModel(id) {
    const { state, buffers = [] } = saved[id];
    const values = structuredClone(state);
    for (const buffer of buffers) {
      const owner = buffer.path.slice(0, -1).reduce((node, key) => node[key], values);
      owner[buffer.path.at(-1)] = decode(buffer);
    }
    let listeners = [];
    const fire = (name, ...details) => listeners.filter((l) => l.name === name).forEach((l) => l.callback(...details));
    const model = {
      get: (key) => values[key],
      set(key, value) {
        if (values[key] === value) return;
        values[key] = value;
        fire(`change:${key}`, model, value);
        fire("change", model);
      },
      save_changes() {},
      send() {}, // nobody listens on the other side
      on: (names, callback) => names.split(/\s+/).forEach((name) => listeners.push({ name, callback })),
      off(name, callback) {
        listeners = listeners.filter((l) => (name && l.name !== name) || (callback && l.callback !== callback));
      },
      widget_manager: { get_model: async (reference) => modelOf(idOf(reference)) },
    };
    return model;
  }

  const models = new Map();
  const modelOf = (id) => {
    if (!saved[id]) throw new Error(`the page holds no state of widget ${id}`);
    if (!models.has(id)) models.set(id, makeModel(id));
    return models.get(id);
  };

  // --- Anywidgets: initialize once a model, render once a place ---------------------------------------------------
  const experimental = { invoke: () => Promise.reject(new Error("this page has no kernel to ask")) };
  const { signal } = new AbortController(); // widgets stay as long as the page: never aborted
  const definitions = new Map();

  async function define(id) {
    const model = modelOf(id);
    const url = URL.createObjectURL(new Blob([model.get("_esm")], { type: "text/javascript" }));
    const module = await import(url).finally(() => URL.revokeObjectURL(url));
    const definition = typeof module.default === "function" ? await module.default() : module.default ?? module;
    const css = model.get("_css");
    if (css) document.head.append(Object.assign(document.createElement("style"), { textContent: css }));
    const exports = await definition.initialize?.({ model, signal, experimental });
    return { definition, exports };
  }

  const definitionOf = (id) => {
    if (!definitions.has(id)) definitions.set(id, define(id));
    return definitions.get(id);
  };

  const host = {
    getModel: async (reference) => modelOf(idOf(reference)),
    getWidget: async (reference) => {
      const { exports } = await definitionOf(idOf(reference));
      return { exports, render: ({ el }) => renderInto(idOf(reference), el) };
    },
  };

  async function renderInto(id, el) {
    const { definition } = await definitionOf(id);
    await definition.render?.({ model: modelOf(id), el, signal, host, experimental });
  }

  // --- What needs a kernel ----------------------------------------------------------------------------------------
  const childrenOf = (id) => (saved[id]?.state.children ?? []).map(idOf);

  const lastOutputs = (id) => {
    const own = saved[id]?.model_name === "OutputModel" ? saved[id].state.outputs ?? [] : [];
    const pictures = own.map(({ data = {} }) => {
      if (data["text/html"]) return [].concat(data["text/html"]).join("");
      return data["image/png"] ? `<img alt="" src="data:image/png;base64,${data["image/png"]}">` : "";
    });
    return pictures.concat(childrenOf(id).flatMap(lastOutputs));
  };

  function showFrozen(id, el) {
    const card = document.createElement("div");
    card.className = "odyssey-frozen";
    card.setAttribute("role", "note");
    card.innerHTML = "<p><strong>A live control, shown as it was when the book was built.</strong> Moving it runs Python, " +
      "which a page cannot do. Open the chapter with <code>make lab</code> to use it.</p>" + lastOutputs(id).join("");
    el.append(card);
    card.dispatchEvent(new Event("odyssey:content", { bubbles: true })); // charts among the outputs are drawn
  }

  // --- Mounting -----------------------------------------------------------------------------------------------------
  const isAnywidget = (id) => saved[id]?.model_module === "anywidget";
  const isBox = (id) => /^(H|V|Grid)?BoxModel$/.test(saved[id]?.model_name ?? "");
  const holdsAnywidget = (id) => isAnywidget(id) || (isBox(id) && childrenOf(id).some(holdsAnywidget));

  async function mount(id, el) {
    if (isAnywidget(id)) return renderInto(id, el);
    if (!holdsAnywidget(id)) return showFrozen(id, el);
    el.classList.add(saved[id].model_name === "HBoxModel" ? "odyssey-row" : "odyssey-column");
    for (const child of childrenOf(id)) {
      const place = document.createElement("div");
      el.append(place);
      await mount(child, place);
    }
  }

  document.querySelectorAll(VIEW).forEach((script) => {
    const el = document.createElement("div");
    el.className = "odyssey-widget";
    script.after(el);
    mount(JSON.parse(script.textContent).model_id, el).then(() => { el.dataset.ready = "1"; }, (error) => {
      console.error("widget failed:", error);
      el.textContent = `This widget could not be shown: ${error.message}`;
      el.dataset.failed = error.message || "1";
    });
  });
})();
