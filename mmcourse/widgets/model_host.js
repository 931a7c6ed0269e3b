// Where a widget asks a model: a kernel where one runs; elsewhere the page loads the model's files
// when its reader asks for it, and computes. For widgets that are `LiveWidget`s.

// Where the book keeps its models; null where this page has none.
function modelsFolder() {
  const host = document.querySelector('script[src*="mm/static_host.js"]');
  return host ? new URL("models/", host.src).href : null;
}

async function openModel(name, tell) {
  const folder = modelsFolder();
  if (!globalThis.mmOpenModel)
    await new Promise((done, fail) => {
      const missing = () => fail(new Error("the model's files are missing here"));
      document.head.append(make("script", { src: `${folder}loader.js`, onload: done, onerror: missing }));
    });
  return globalThis.mmOpenModel(folder, name, tell);
}

// {node, run(part, inputs), ready(), page(), told(problem)}. `inputs`: name → {data, dims}, data an Int32Array or a Float32Array; run gives name → {data: Float32Array, dims}.
// `invite` is said when it can be asked, `alone` where it cannot. `command` is the kernel's.
function modelDesk(view, experimental, { invite, alone = ALONE, command = "run" }) {
  const open = make("button", { class: "mm-button", type: "button", onclick: load }, "Load the model into this page");
  const bar = make("progress", { max: 1, "aria-label": "Loading the model" });
  const hint = make("p", { class: "mm-hint", role: "status" });
  const node = make("div", { class: "mm-desk" }, make("div", { class: "mm-controls" }, open, bar), hint);
  let state = "looking"; // for a kernel; then kernel, page, or in a page alone, offer, loading
  let [here, problem, wrong, share, size] = [null, "", false, 0, 0];
  const turn = (next, why = "", bad = true) => {
    [state, problem, wrong] = [next, why, bad && Boolean(why)];
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

  const ready = () => state === "kernel" || state === "page";
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
    const words = problem ? problem + (wrong && ready() ? " Nothing below has changed." : "") : SAID[state]();
    if (hint.textContent !== words) hint.textContent = words;
    hint.classList.toggle("mm-problem", wrong);
  });
  return {
    node,
    run,
    invoke,
    fail,
    ready,
    page: () => here,
    told: (why, bad) => turn(state, why, bad),
  };
}

// {ask, forget, busy}: `work(question)` never twice at once. Who asks before the answer is there is
// answered next, of several the last. Where work fails, the desk has said why.
function newest(view, work) {
  let [busy, waiting] = [false, []];
  async function ask(...question) {
    waiting = [question];
    if (busy) return;
    busy = true;
    while (waiting.length) {
      try {
        await work(...waiting.pop());
      } catch {}
      view.redraw();
    }
    busy = false;
  }
  return { ask, forget: () => (waiting = []), busy: () => busy };
}

const ALONE = "This page has no running notebook behind it: open the lesson in JupyterLab and run it to ask the model yourself.";
