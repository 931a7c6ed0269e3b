// The page's side: fetches a model's files when the reader asks for it, and talks to its worker.

// Files are scripts, since a page on file:// may not fetch: each calls mmPiece(file, text).
const pieces = new Map();
globalThis.mmPiece = (file, text) => {
  pieces.set(file, (pieces.get(file) ?? "") + text);
};

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

// {draw, stop}: a model in a worker of its own. `tell(share, bytes)` says how far loading is.
async function openModel(name, tell) {
  if (typeof WebAssembly !== "object" || typeof DecompressionStream !== "function" || typeof Worker !== "function")
    throw new Error("this browser does not run WebAssembly in a worker");
  const folder = modelsFolder();
  if (!folder) throw new Error("the model's files are missing here");
  await script(`${folder}${name}.js`); // what there is to load
  const { files, description, bytes } = JSON.parse(pieces.get(name));
  pieces.delete(name);
  let loaded = 0;
  for (const [file, { chunks, sizes }] of Object.entries(files)) {
    pieces.delete(file);
    for (let i = 0; i < chunks.length; i++) {
      await script(folder + chunks[i]);
      loaded += sizes[i];
      tell(loaded / bytes, bytes);
    }
  }
  const text = (file) => ({ text: pieces.get(files[file].key), gzip: files[file].gzip });
  const source = new TextDecoder().decode(
    Uint8Array.from(atob(text("runtime").text), (letter) => letter.charCodeAt(0)),
  );
  const worker = new Worker(URL.createObjectURL(new Blob([source], { type: "text/javascript" })));
  const parts = ["glue", "wasm", ...description.parts];
  const sent = Object.fromEntries(parts.map((part) => [part, text(part)]));
  for (const file of Object.values(files)) pieces.delete(file.key);
  return connect(worker, { files: sent, description });
}

function connect(worker, { files, description }) {
  let [next, waiting] = [1, new Map()];
  const fail = (why) => waiting.forEach(({ fail }) => fail(new Error(why)));
  worker.onmessage = ({ data: { id, ...said } }) => {
    const ask = waiting.get(id);
    if (!ask) return;
    if (said.picture) ask.tell(said);
    if (said.failed) ask.fail(new Error(said.failed));
    else if (said.ready || said.problem || said.stopped || said.last) ask.done(said);
    else return;
    waiting.delete(id);
  };
  worker.onerror = (event) => fail(event.message || "the model stopped");
  const call = (kind, message, tell = () => {}) =>
    new Promise((done, fail) => {
      waiting.set(next, { done, fail, tell });
      worker.postMessage({ kind, id: next, ...message });
      next += 1;
    });
  const draw = (asked, tell) => call("draw", asked, tell);
  const stop = () => worker.postMessage({ kind: "stop" });
  return call("load", { files, description }).then(() => ({ draw, stop, about: description }));
}
