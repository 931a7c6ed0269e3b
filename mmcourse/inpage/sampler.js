// DDIM with guidance, as LatentDiffusion.generate: noise in, latents out, one step at a time.

// Python's round: halves go to the even neighbour.
function roundEven(x) {
  const down = Math.floor(x);
  if (x - down !== 0.5) return Math.round(x);
  return down % 2 ? down + 1 : down;
}

// The steps that the sampler stops at, noisiest first; −1, the clean picture, is the last.
function walk(T, steps, power) {
  const all = Array.from({ length: steps }, (_, i) => {
    if (power === 1) return roundEven(T - (i * T) / steps) - 1;
    const t = roundEven(T - T * (i / steps) ** power) - 1;
    return Math.max(Math.min(t, T - 1 - i), steps - 1 - i);
  });
  return [...all, -1];
}

// Calls unet(z, step) → [away, towards] (predictions without and with the caption) and goes on.
// Yields {step, z, z0} after each step. Numbers are single precision wherever PyTorch's are.
async function* denoise(unet, start, about, { steps, scale }) {
  const { signal, spread, power, prediction } = about;
  let z = start;
  const stops = walk(signal.length, steps, power);
  for (let k = 0; k < steps; k++) {
    const [t, s] = [stops[k], stops[k + 1]];
    const guesses = await unet(z, t);
    const noise = (v, i) => (prediction === "velocity" ? signal[t] * v + spread[t] * z[i] : v);
    const [signalS, spreadS] = s < 0 ? [1, 0] : [signal[s], spread[s]];
    const next = new Float32Array(z.length);
    const z0 = new Float32Array(z.length);
    for (let i = 0; i < z.length; i++) {
      const [away, towards] = [noise(guesses[0][i], i), noise(guesses[1][i], i)];
      const eps = away + scale * (towards - away);
      z0[i] = (z[i] - spread[t] * eps) / signal[t];
      next[i] = signalS * z0[i] + spreadS * eps;
    }
    z = next;
    yield { step: t, z, z0 };
  }
}
