// Shows widgets in a page without a kernel: it finds the state that the notebook left in the page,
// makes a model of it, loads each widget's own module from its text, and renders it where it was
// displayed. Nothing is fetched. Include it with `defer`.
(() => {
  "use strict";

  const STATE = "application/vnd.jupyter.widget-state+json";
  const VIEW = "application/vnd.jupyter.widget-view+json";

  const scripts = (type) => document.querySelectorAll(`script[type="${type}"]`);

  function decode({ data, encoding }) {
    if (encoding === "hex") return Uint8Array.from(data.match(/../g) ?? [], (x) => parseInt(x, 16));
    return Uint8Array.from(atob(data), (letter) => letter.charCodeAt(0));
  }

  // Put every buffer where it belongs in the state, as the DataView that a widget expects.
  function assemble({ state, buffers = [] }) {
    const whole = structuredClone(state);
    for (const buffer of buffers) {
      const path = [...buffer.path];
      const name = path.pop();
      const place = path.reduce((node, key) => (node[key] ??= {}), whole);
      place[name] = new DataView(decode(buffer).buffer);
    }
    return whole;
  }

  // What a widget knows as `model`: get, set, on, off, save_changes.
  class Model {
    constructor(state) {
      this.state = state;
      this.listeners = new Map();
    }
    get(name) {
      return this.state[name];
    }
    set(name, value) {
      const changes = typeof name === "object" ? name : { [name]: value };
      const changed = Object.keys(changes).filter((key) => !Object.is(this.state[key], changes[key]));
      Object.assign(this.state, changes);
      for (const key of changed) this.emit(`change:${key}`, this.state[key]);
      if (changed.length) this.emit("change");
    }
    on(events, callback) {
      for (const event of events.split(/\s+/)) {
        if (!this.listeners.has(event)) this.listeners.set(event, new Set());
        this.listeners.get(event).add(callback);
      }
    }
    off(events, callback) {
      const names = events ? events.split(/\s+/) : [...this.listeners.keys()];
      for (const event of names) {
        if (callback) this.listeners.get(event)?.delete(callback);
        else this.listeners.delete(event);
      }
    }
    emit(event, ...rest) {
      for (const callback of [...(this.listeners.get(event) ?? [])]) callback(this, ...rest);
    }
    // Without a kernel there is nobody to tell.
    save_changes() {}
    send() {}
  }

  // A value that is computed once per key.
  function once(compute) {
    const known = new Map();
    return (key, ...rest) => {
      if (!known.has(key)) known.set(key, compute(key, ...rest));
      return known.get(key);
    };
  }

  const load = once(async (text) => {
    const url = URL.createObjectURL(new Blob([text], { type: "text/javascript" }));
    try {
      const module = await import(url);
      const widget = module.default ?? { render: module.render };
      return typeof widget === "function" ? await widget() : widget;
    } finally {
      URL.revokeObjectURL(url);
    }
  });

  const dress = once((css) => {
    const style = document.createElement("style");
    style.textContent = css;
    document.head.append(style);
  });

  const experimental = { invoke: () => Promise.reject(new Error("there is no kernel here")) };

  const model = once(async (id, state) => {
    if (typeof state?._esm !== "string") throw new Error("the page does not hold this widget's code");
    const made = new Model(state);
    const widget = await load(state._esm);
    await widget.initialize?.({ model: made, experimental });
    return { made, widget };
  });

  // In words, where the picture would be.
  function apologise(place, state, error) {
    const sentence = document.createElement("p");
    sentence.className = "mm-failed";
    sentence.textContent = `This interactive figure could not be shown (${error.message}). ${state?.alt ?? ""}`;
    place.replaceChildren(sentence);
    console.error("A widget could not be shown:", error);
  }

  async function mount(place, id, state) {
    try {
      const { made, widget } = await model(id, state);
      if (state._css) dress(state._css);
      await widget.render({ model: made, el: place, experimental });
    } catch (error) {
      apologise(place, state, error);
    }
  }

  function start() {
    const states = {};
    try {
      for (const script of scripts(STATE)) {
        const parts = JSON.parse(script.textContent).state ?? {};
        for (const [id, part] of Object.entries(parts)) states[id] = assemble(part);
      }
    } catch (error) {
      console.error("The widgets' state in this page cannot be read:", error);
    }
    const mounts = [];
    for (const script of scripts(VIEW)) {
      const place = document.createElement("div");
      place.className = "mm-host";
      script.after(place);
      const id = JSON.parse(script.textContent).model_id;
      mounts.push(mount(place, id, states[id]));
    }
    window.mmWidgets = Promise.all(mounts); // for whoever wants to wait until all are drawn
  }

  if (document.readyState === "loading") document.addEventListener("DOMContentLoaded", start);
  else start();
})();
