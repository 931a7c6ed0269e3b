// The page's side of a model: a kernel computes where one runs; elsewhere the page loads the model's
// files when its reader asks for it, and a worker computes. For widgets that are `LiveWidget`s.

// Files are scripts, since a page on file:// may not fetch: each calls mmPiece(file, text).
const pieces = (globalThis.mmPieces ??= new Map());
globalThis.mmPiece ??= (file, text) => pieces.set(file, (pieces.get(file) ?? "") + text);
const opened = (globalThis.mmModels ??= new Map()); // name → promise: loaded once a page

function script(address) {
  return new Promise((done, fail) => {
    const node = document.createElement("script");
    node.src = address;
    node.onload = () => done(node.remove());
    node.onerror = () => fail(new Error("the model's files are missing here"));
    document.head.append(node);
  });
}

// Where the book keeps its models; null where this page has none.
function modelsFolder() {
  const host = document.querySelector('script[src*="mm/static_host.js"]');
  return host ? new URL("models/", host.src).href : null;
}

// {run, draw, stop, about}: a model in a worker. `tell(share, bytes)` says how far loading is.
function openModel(name, tell) {
  if (!opened.has(name)) {
    const loading = loadModel(name, tell);
    opened.set(name, loading);
    loading.catch(() => opened.delete(name)); // it may be tried again
  }
  return opened.get(name);
}

async function loadModel(name, tell) {
  if (typeof WebAssembly !== "object" || typeof DecompressionStream !== "function" || typeof Worker !== "function")
    throw new Error("this browser does not run WebAssembly in a worker");
  const folder = modelsFolder();
  if (!folder) throw new Error("the model's files are missing here");
  await script(`${folder}${name}.js`); // what there is to load
  const { files, description, bytes } = JSON.parse(pieces.get(name));
  pieces.delete(name);
  let loaded = 0;
  for (const { key, chunks, sizes } of Object.values(files)) {
    pieces.delete(key);
    for (let i = 0; i < chunks.length; i++) {
      await script(folder + chunks[i]);
      loaded += sizes[i];
      tell(loaded / bytes, bytes);
    }
  }
  const runtime = await fetchless(pieces.get(files.runtime.key));
  const worker = new Worker(URL.createObjectURL(runtime));
  const parts = ["glue", "wasm", ...description.parts];
  const sent = parts.map((part) => [part, { text: pieces.get(files[part].key), gzip: files[part].gzip }]);
  for (const { key } of Object.values(files)) pieces.delete(key);
  return connect(worker, { files: Object.fromEntries(sent), description });
}

// Base64 to a script, a piece at a time, so that the page is never still for long.
async function fetchless(text) {
  const parts = [];
  for (let from = 0; from < text.length; from += 2 ** 18) {
    parts.push(Uint8Array.from(atob(text.slice(from, from + 2 ** 18)), (letter) => letter.charCodeAt(0)));
    await new Promise((done) => setTimeout(done));
  }
  return new Blob(parts, { type: "text/javascript" });
}

function connect(worker, { files, description }) {
  let [next, waiting] = [1, new Map()];
  worker.onmessage = ({ data: { id, ...said } }) => {
    const ask = waiting.get(id);
    if (!ask) return;
    if (said.step) return ask.tell(said.step);
    waiting.delete(id);
    if (said.failed) ask.fail(new Error(said.failed));
    else ask.done(said.done);
  };
  worker.onerror = (event) => {
    waiting.forEach(({ fail }) => fail(new Error(event.message || "the model stopped")));
    waiting.clear();
  };
  const call = (kind, message, tell = () => {}) =>
    new Promise((done, fail) => {
      waiting.set(next, { done, fail, tell });
      worker.postMessage({ kind, id: next, ...message });
      next += 1;
    });
  const run = (part, inputs) => call("run", { part, inputs });
  const draw = (asked, tell) => call("draw", asked, tell);
  const stop = () => worker.postMessage({ kind: "stop" });
  return call("load", { files, description }).then(() => ({ run, draw, stop, about: description }));
}

// ---------- the desk: where a widget asks, and what its reader is told meanwhile ----------

// {node, run(part, inputs), ready(), kernel(), page(), told(problem)}. `inputs`: name → {data,
// dims}, data an Int32Array or a Float32Array; run gives name → {data: Float32Array, dims}.
// `invite` is said when it can be asked, `alone` where it cannot. `command` is the kernel's.
function modelDesk(view, experimental, { invite, alone = ALONE, command = "run" }) {
  const open = make("button", { class: "mm-button", type: "button", onclick: load }, "Load the model into this page");
  const bar = make("progress", { max: 1, "aria-label": "Loading the model" });
  const hint = make("p", { class: "mm-hint", role: "status" });
  const node = make("div", { class: "mm-desk" }, make("div", { class: "mm-controls" }, open, bar), hint);
  let state = "looking"; // for a kernel; then kernel, page, or in a page alone, offer, loading
  let [here, problem, share, size] = [null, "", 0, 0];
  const turn = (next, why = "") => {
    [state, problem] = [next, why];
    view.redraw();
  };
  const invoke = (message, seconds, buffers = []) =>
    experimental.invoke(command, message, { signal: AbortSignal.timeout(1000 * seconds), buffers });
  const without = () => turn(view.get("model") && modelsFolder() ? "offer" : "alone");
  invoke({}, 15).then(([said]) => (said.ready === false ? turn("alone") : turn("kernel")), without);

  async function load() {
    if (state !== "offer") return;
    turn("loading");
    try {
      here = await openModel(view.get("model"), (done, bytes) => {
        [share, size] = [done, bytes / 1e6];
        view.redraw();
      });
      turn("page");
    } catch (error) {
      turn("alone", `The model cannot run here: ${error.message}.`);
    }
  }

  // For a problem of what was asked (`told`), or of the model itself: then it is not asked again.
  const fail = (error) => turn("alone", `The model stopped: ${error.message}.`);

  async function run(part, inputs) {
    try {
      if (here) return await here.run(part, inputs);
      const listed = Object.entries(inputs);
      const kind = (data) => (data instanceof Int32Array ? "int32" : "float32");
      const named = listed.map(([name, { data, dims }]) => [name, dims, kind(data)]);
      const buffers = listed.map(([, { data }]) => data.buffer.slice(data.byteOffset, data.byteOffset + data.byteLength));
      const [said, numbers] = await invoke({ part, inputs: named }, 60, buffers);
      if (said.problem) throw new Error(said.problem);
      return Object.fromEntries(said.outputs.map(([name, dims], i) => [name, { data: floats(numbers[i]), dims }]));
    } catch (error) {
      fail(error);
      throw error;
    }
  }

  const SAID = {
    looking: () => "Looking for a running notebook …",
    kernel: () => invite,
    page: () => `The model runs in this page. ${invite}`,
    offer: () => "The model can run in this page, without a notebook: it is loaded once, and nothing leaves your computer.",
    loading: () => `Loading the model: ${Math.round(100 * share)} % of ${Math.max(0.1, size).toFixed(size < 10 ? 1 : 0)} MB …`,
    alone: () => alone,
  };
  view.updates.push(() => {
    open.hidden = state !== "offer";
    bar.hidden = state !== "loading";
    bar.value = share;
    const words = problem || SAID[state]();
    if (hint.textContent !== words) hint.textContent = words;
    hint.classList.toggle("mm-problem", Boolean(problem));
  });
  return {
    node,
    run,
    invoke,
    fail,
    ready: () => state === "kernel" || state === "page",
    page: () => here,
    told: (why) => turn(state, why),
  };
}

const ALONE = "This page has no running notebook behind it: open the lesson in JupyterLab and run it to ask the model yourself.";
