// The worker of a page: it holds the networks, draws, and tells each step. onnxruntime-web,
// noise.js, words.js and sampler.js stand before this text.

let [about, sessions, latest] = [null, {}, 0];

// A file as text in base64, perhaps gzipped, to bytes.
async function unpacked({ text, gzip }) {
  const bytes = Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
  if (!gzip) return bytes;
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
  for (const part of about.parts)
    sessions[part] = await ort.InferenceSession.create(await unpacked(files[part]), {
      executionProviders: ["wasm"],
    });
}

const floats = (values, shape) => new ort.Tensor("float32", values, shape);
const whole = (values) => new ort.Tensor("int64", BigInt64Array.from(values, BigInt), [1, values.length].slice(-1));

async function read(ids) {
  const tensor = new ort.Tensor("int64", BigInt64Array.from(ids, BigInt), [1, ids.length]);
  const { out } = await sessions.reader.run({ ids: tensor });
  return out;
}

async function paint(z) {
  const { out } = await sessions.decoder.run({ z: floats(z, [1, ...about.latent]) });
  return Uint8ClampedArray.from(out.data, (x) => roundEven((Math.min(Math.max(x, -1), 1) + 1) * 127.5));
}

// Other messages are heard between two steps.
const breathe = () => new Promise((done) => setTimeout(done));

async function draw({ id, prompt, negative, seed, steps, scale }, tell) {
  const words = vocabulary(about);
  const [wanted, avoided] = [words.encode(prompt), negative ? words.encode(negative) : { ids: words.empty }];
  const problem = wanted.problem ?? avoided.problem;
  if (problem) return tell({ problem });
  const [towards, away] = [await read(wanted.ids), await read(avoided.ids)];
  const context = floats(Float32Array.from([...away.data, ...towards.data]), [2, ...towards.dims.slice(1)]);
  const size = about.latent.reduce((a, b) => a * b);
  const unet = async (z, t) => {
    const both = new Float32Array(2 * size);
    both.set(z);
    both.set(z, size);
    const { out } = await sessions.unet.run({ z: floats(both, [2, ...about.latent]), step: whole([t, t]), context });
    return [out.data.subarray(0, size), out.data.subarray(size)];
  };
  let done = 0;
  for await (const { z0 } of denoise(unet, normalNoise(seed, size), about, { steps, scale })) {
    if (latest !== id) return tell({ stopped: true });
    done += 1;
    tell({ done, picture: await paint(z0), last: done === steps });
    await breathe();
  }
}

onmessage = async ({ data }) => {
  const tell = (message) => postMessage({ id: data.id, ...message });
  try {
    if (data.kind === "load") {
      await load(data);
      tell({ ready: true });
    } else if (data.kind === "draw") {
      latest = data.id;
      await draw(data, tell);
    } else latest = 0; // stop
  } catch (error) {
    tell({ failed: String(error?.message ?? error) });
  }
};
