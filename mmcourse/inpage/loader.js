// The page's side of a model: loads its files, starts its worker, carries questions and answers. The
// book puts this beside its models; widgets load it with the first of them (`model_host.js`).
(() => {
  // Files are scripts, since a page on file:// may not fetch: each calls mmPiece(file, text).
  const pieces = new Map();
  globalThis.mmPiece = (file, text) => pieces.set(file, (pieces.get(file) ?? "") + text);
  const opened = new Map(); // name → promise: loaded once a page

  function script(address) {
    return new Promise((done, fail) => {
      const node = document.createElement("script");
      node.src = address;
      node.onload = () => done(node.remove());
      node.onerror = () => fail(new Error("the model's files are missing here"));
      document.head.append(node);
    });
  }

  async function load(folder, name, tell) {
    if (typeof WebAssembly !== "object" || typeof DecompressionStream !== "function" || typeof Worker !== "function")
      throw new Error("this browser does not run WebAssembly in a worker");
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
    const worker = new Worker(URL.createObjectURL(await plain(pieces.get(files.runtime.key))));
    const parts = ["glue", "wasm", ...description.parts];
    const sent = parts.map((part) => [part, pieces.get(files[part].key)]);
    for (const { key } of Object.values(files)) pieces.delete(key);
    return connect(worker, { files: Object.fromEntries(sent), description });
  }

  // Gzip in base64 to a script, a piece at a time, so that the page is never still for long.
  async function plain(text) {
    const parts = [];
    for (let from = 0; from < text.length; from += 2 ** 18) {
      parts.push(Uint8Array.from(atob(text.slice(from, from + 2 ** 18)), (letter) => letter.charCodeAt(0)));
      await new Promise((done) => setTimeout(done));
    }
    const stream = new Blob(parts).stream().pipeThrough(new DecompressionStream("gzip"));
    return new Response(stream, { headers: { "Content-Type": "text/javascript" } }).blob();
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

  // {run, draw, stop, about}: a model in a worker. `tell(share, bytes)` says how far loading is.
  globalThis.mmOpenModel = (folder, name, tell) => {
    if (!opened.has(name)) {
      const loading = load(folder, name, tell);
      opened.set(name, loading);
      loading.catch(() => opened.delete(name)); // it may be tried again
    }
    return opened.get(name);
  };
})();
