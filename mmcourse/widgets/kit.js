// What the widgets share. This text stands before each widget's own in one module, so that
// a widget imports nothing.

// ---------- maths (tests run it under node, against Python) ----------

// softmax(scores / temperature); where nothing may be attended to (all −∞) the weights are 0.
function softmax(scores, temperature = 1) {
  const top = Math.max(...scores);
  if (top === -Infinity) return Array.from(scores, () => 0);
  const powers = Array.from(scores, (score) => Math.exp((score - top) / temperature));
  const sum = powers.reduce((a, b) => a + b, 0);
  return powers.map((power) => power / sum);
}

// 3.14159 → "3.1"; halves go up, as in Python's `tenth`.
const tenth = (value) => (Math.floor(10 * value + 0.5) / 10).toFixed(1);
// −0.123 → "−0.12", with a minus sign, as Python's `fixed`.
const fixed = (value, digits = 2) => value.toFixed(digits).replace("-", "−");
const clamp = (x, low, high) => Math.min(Math.max(x, low), high);
// [-1, 1] → 0 … 255 and back.
const toBytes = (x) => Uint8ClampedArray.from(x, (v) => (v + 1) * 127.5);
const fromBytes = (x) => Float32Array.from(x, (v) => v / 127.5 - 1);

// The k largest: [[index, value], …].
function largest(values, k) {
  const order = Array.from(values, (value, index) => [index, value]);
  return order.sort((a, b) => b[1] - a[1]).slice(0, k);
}

// ---------- traits that are bytes ----------

const bytes = (view) => new Uint8Array(view.buffer, view.byteOffset, view.byteLength);

function half(bits) {
  const sign = bits & 0x8000 ? -1 : 1;
  const exponent = (bits >> 10) & 31;
  const fraction = bits & 1023;
  if (exponent === 0) return sign * fraction * 2 ** -24;
  if (exponent === 31) return fraction ? NaN : sign * Infinity;
  return sign * (1 + fraction / 1024) * 2 ** (exponent - 15);
}

const halves = (view, from = 0, count = (view.byteLength - from) / 2) =>
  Float32Array.from({ length: count }, (_, i) => half(view.getUint16(from + 2 * i, true)));

const floats = (view, from = 0, count = (view.byteLength - from) / 4) =>
  Float32Array.from({ length: count }, (_, i) => view.getFloat32(from + 4 * i, true));

// ---------- elements ----------

// make("button", {class: "mm-x", onclick}, "text", child …); "svg:path" makes an SVG element.
function make(tag, attributes = {}, ...children) {
  const node = tag.startsWith("svg:")
    ? document.createElementNS("http://www.w3.org/2000/svg", tag.slice(4))
    : document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else if (value !== false && value != null) node.setAttribute(name, value === true ? "" : value);
  }
  // In JupyterLab the arrow keys belong to what has the focus, not to the notebook.
  if (["button", "input", "select"].includes(tag) || "tabindex" in attributes)
    node.setAttribute("data-lm-suppress-shortcuts", "true");
  node.append(...children.filter((child) => child != null));
  return node;
}

const THEME = ["data-theme", "data-mode", "class", "data-jp-theme-name", "data-jp-theme-light"];

// The widget's frame and its life: `draw` is called once after all changes of one event.
function widget({ model, el }, label) {
  const tidy = [];
  let waiting = false;
  const view = {
    updates: [],
    root: make("div", { class: "mm-widget", role: "group", "aria-label": label }),
    summary: make("p", { class: "mm-summary", "aria-live": "polite" }),
    get: (name) => model.get(name),
    set(state) {
      for (const [name, value] of Object.entries(state)) model.set(name, value);
      model.save_changes();
    },
    say(text) {
      if (view.summary.textContent !== text) view.summary.textContent = text;
    },
    redraw() {
      if (waiting) return;
      waiting = true;
      queueMicrotask(() => {
        waiting = false;
        view.updates.forEach((update) => update());
        view.draw();
      });
    },
    // The colour that a variable of the style sheet has here and now.
    color(name) {
      probe.style.color = `var(--mm-${name})`;
      return getComputedStyle(probe).color;
    },
    tidy: (undo) => tidy.push(undo),
    // Show the parts, listen, draw; what this returns ends it all.
    start(traits, ...parts) {
      view.root.append(...parts);
      if (!view.root.contains(view.summary)) view.root.append(view.summary); // before a long list, say
      const caption = view.get("caption");
      if (caption) view.root.append(make("p", { class: "mm-caption" }, caption));
      view.root.append(probe);
      el.append(view.root);
      const names = traits.map((name) => `change:${name}`);
      names.forEach((name) => model.on(name, view.redraw));
      const theme = new MutationObserver(view.redraw);
      const look = { attributes: true, attributeFilter: THEME };
      theme.observe(document.documentElement, look);
      theme.observe(document.body, look);
      let width = 0;
      const size = new ResizeObserver(() => {
        if (width !== view.root.clientWidth) view.redraw();
        width = view.root.clientWidth;
      });
      size.observe(view.root);
      // What was drawn out of sight may have had no size then.
      const sight = new IntersectionObserver(([now]) => now.isIntersecting && view.redraw());
      sight.observe(view.root);
      const dark = matchMedia("(prefers-color-scheme: dark)");
      dark.addEventListener("change", view.redraw);
      view.redraw();
      return () => {
        names.forEach((name) => model.off(name, view.redraw));
        theme.disconnect();
        size.disconnect();
        sight.disconnect();
        dark.removeEventListener("change", view.redraw);
        tidy.forEach((undo) => undo());
        view.root.remove();
      };
    },
  };
  const probe = make("span", { hidden: true });
  return view;
}

// ---------- controls: native ones, bound to a trait both ways ----------

function field(label, control, ...rest) {
  control.id = `mm-${Math.random().toString(36).slice(2)}`;
  const name = make("label", { for: control.id }, label);
  const pair = make("div", { class: "mm-field" }, name, control);
  return make("div", { class: "mm-control" }, pair, ...rest);
}

// A range; `max` may be a function of the present state. Hidden where there is no choice.
function slider(view, trait, { label, max, format = String }) {
  const move = () => view.set({ [trait]: Number(input.value) });
  const input = make("input", { type: "range", min: 0, step: 1, oninput: move });
  const shown = make("span", { class: "mm-value", "aria-hidden": "true" });
  const node = field(label, input, shown);
  view.updates.push(() => {
    const top = typeof max === "function" ? max() : max;
    input.max = top;
    input.value = view.get(trait);
    shown.textContent = format(view.get(trait));
    input.setAttribute("aria-valuetext", shown.textContent);
    node.hidden = top < 1;
  });
  return node;
}

// A select over [[value, text], …]; `options` may be a function. Hidden where there is no choice.
// `also` gives what else changes with a chosen value.
function choice(view, trait, { label, options, also = () => ({}) }) {
  let list = [];
  const move = () => {
    const value = list[select.selectedIndex][0];
    view.set({ [trait]: value, ...also(value) });
  };
  const select = make("select", { onchange: move });
  const node = field(label, select);
  view.updates.push(() => {
    const next = typeof options === "function" ? options() : options;
    if (JSON.stringify(next) !== JSON.stringify(list)) {
      list = next;
      select.replaceChildren(...list.map(([, text]) => make("option", {}, text)));
    }
    select.selectedIndex = list.findIndex(([value]) => value === view.get(trait));
    node.hidden = list.length < 2;
  });
  return node;
}

function toggle(view, trait, { label }) {
  const move = () => view.set({ [trait]: box.checked });
  const box = make("input", { type: "checkbox", onchange: move });
  view.updates.push(() => (box.checked = view.get(trait)));
  const name = make("label", { class: "mm-check" }, box, make("span", {}, label));
  return make("div", { class: "mm-control" }, name);
}

const controls = (...nodes) => make("div", { class: "mm-controls" }, ...nodes);

// Buttons that set a whole state, with a note on what to look for.
function presetButtons(view) {
  const list = view.get("presets");
  if (!list.length) return null;
  const note = make("p", { class: "mm-note", "aria-live": "polite" });
  const buttons = list.map(({ name, note: _, ...state }) =>
    make("button", { type: "button", class: "mm-button", onclick: () => view.set(state) }, name),
  );
  view.updates.push(() => {
    const on = list.map(({ name, note: _, ...state }) =>
      Object.entries(state).every(([key, value]) => view.get(key) === value),
    );
    buttons.forEach((button, i) => button.setAttribute("aria-pressed", on[i]));
    const words = list[on.indexOf(true)]?.note ?? "";
    if (note.textContent !== words) note.textContent = words;
  });
  const title = make("span", { class: "mm-try", "aria-hidden": "true" }, "Try this");
  const group = { class: "mm-presets", role: "group", "aria-label": "Try this" };
  return make("div", {}, make("div", group, title, ...buttons), note);
}

// A part that scrolls sideways by itself, so that the page never does.
function scroller(label, ...children) {
  const traits = { class: "mm-scroll", tabindex: 0, role: "group", "aria-label": label };
  return make("div", traits, ...children);
}

export { fromBytes, half, halves, largest, softmax, tenth, toBytes };
