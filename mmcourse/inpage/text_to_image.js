// A prompt to a picture, as TextToImage.generate, with the networks of the worker.

const ids = (numbers) => ({ data: Int32Array.from(numbers), dims: [1, numbers.length] });

async function paintLatents(z) {
  const { out } = await run("decoder", { z: { data: z, dims: [1, ...about.latent] } });
  return Uint8ClampedArray.from(out.data, (x) => roundEven((Math.min(Math.max(x, -1), 1) + 1) * 127.5));
}

// {problem} of what cannot be read, {stopped}, or {picture, words}: tell({done, picture,
// maps, rows, columns}) after each step; maps (rows, columns, words) tells where words are read.
async function drawPicture({ prompt, negative, seed, steps, scale }, tell, stopped) {
  const words = vocabulary(about);
  const [wanted, avoided] = [words.encode(prompt), negative ? words.encode(negative) : { ids: words.empty }];
  const problem = wanted.problem ?? (avoided.problem && `in “Not this”: ${avoided.problem}`);
  if (problem) return { problem };
  const [towards, away] = [await run("reader", { ids: ids(wanted.ids) }), await run("reader", { ids: ids(avoided.ids) })];
  const both = Float32Array.from([...away.out.data, ...towards.out.data]);
  const context = { data: both, dims: [2, ...towards.out.dims.slice(1)] };
  const size = about.latent.reduce((a, b) => a * b);
  let maps = null;
  const unet = async (z, t) => {
    const twice = new Float32Array(2 * size);
    twice.set(z);
    twice.set(z, size);
    const step = { data: Int32Array.of(t, t), dims: [2] };
    const found = await run("unet", { z: { data: twice, dims: [2, ...about.latent] }, step, context });
    maps = found.maps.data.slice(found.maps.data.length / 2); // of the caption, not of what is avoided
    return [found.out.data.subarray(0, size), found.out.data.subarray(size)];
  };
  let done = 0;
  for await (const { z0 } of denoise(unet, normalNoise(seed, size), about, { steps, scale })) {
    if (stopped()) return { stopped: true };
    done += 1;
    const [, rows, columns] = about.latent;
    tell({ done, picture: await paintLatents(z0), maps, rows, columns });
    await breathe();
  }
  return { words: words.spoken(wanted.ids) };
}
