// The worker of a page: it holds the networks and computes. onnxruntime-web, the widgets' noise.js
// and known_words.js, words.js, sampler.js and text_to_image.js stand before this text.

let [about, sessions, latest] = [null, {}, 0];

// A file as text, gzipped and in base64, to bytes.
async function unpacked(text) {
  const bytes = Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
  return new Uint8Array(await new Response(stream).arrayBuffer());
}

async function load({ files, description }) {
  about = description;
  const glue = new TextDecoder().decode(await unpacked(files.glue));
  const wasm = ort.env.wasm;
  wasm.numThreads = 1;
  wasm.wasmBinary = (await unpacked(files.wasm)).buffer;
  wasm.wasmPaths = { mjs: URL.createObjectURL(new Blob([glue], { type: "text/javascript" })) };
  for (const part of about.parts) {
    const options = { executionProviders: ["wasm"] };
    sessions[part] = await ort.InferenceSession.create(await unpacked(files[part]), options);
  }
}

// name → {data, dims} in and out; whole numbers become 64 bits wide, as the graphs want them.
async function run(part, inputs) {
  const feeds = {};
  for (const [name, { data, dims }] of Object.entries(inputs))
    feeds[name] =
      data instanceof Int32Array
        ? new ort.Tensor("int64", BigInt64Array.from(data, BigInt), dims)
        : new ort.Tensor("float32", data, dims);
  const found = await sessions[part].run(feeds);
  return Object.fromEntries(Object.entries(found).map(([name, { data, dims }]) => [name, { data, dims }]));
}

// Other messages are heard between two steps.
const breathe = () => new Promise((done) => setTimeout(done));

// What is done with a message; `tell(step)` says something on the way.
const TASKS = {
  load: (message) => load(message),
  run: ({ part, inputs }) => run(part, inputs),
  async draw({ id, ...asked }, tell) {
    latest = id;
    return drawPicture(asked, tell, () => latest !== id);
  },
};

onmessage = async ({ data }) => {
  if (data.kind === "stop") return (latest = 0);
  try {
    const done = await TASKS[data.kind](data, (step) => postMessage({ id: data.id, step }));
    postMessage({ id: data.id, done });
  } catch (error) {
    postMessage({ id: data.id, failed: String(error?.message ?? error) });
  }
};
