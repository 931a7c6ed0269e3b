// Noise that equals PyTorch's: the same seed gives the same numbers as torch.randn on a CPU. Widgets
// that name this file in `_also` have it, and so has the worker of a page.

// Matsumoto & Nishimura 1998: the Mersenne Twister with 624 words of 32 bits.
class Twister {
  constructor(seed) {
    this.words = new Uint32Array(624);
    this.words[0] = seed % 2 ** 32; // torch.Generator.manual_seed keeps the lower 32 bits here
    for (let i = 1; i < 624; i++) {
      const last = this.words[i - 1] ^ (this.words[i - 1] >>> 30);
      this.words[i] = Math.imul(1812433253, last) + i;
    }
    this.next = 624;
  }

  turn() {
    const w = this.words;
    for (let i = 0; i < 624; i++) {
      const mixed = (w[i] & 0x80000000) | (w[(i + 1) % 624] & 0x7fffffff);
      w[i] = w[(i + 397) % 624] ^ (mixed >>> 1) ^ (mixed & 1 ? 0x9908b0df : 0);
    }
    this.next = 0;
  }

  bits() {
    if (this.next === 624) this.turn();
    let y = this.words[this.next++];
    y ^= y >>> 11;
    y ^= (y << 7) & 0x9d2c5680;
    y ^= (y << 15) & 0xefc60000;
    return (y ^ (y >>> 18)) >>> 0;
  }

  // A single-precision number in [0, 1) from the lower 24 bits.
  uniform() {
    return (this.bits() & 0xffffff) / 2 ** 24;
  }
}

// Sixteen uniform numbers become sixteen normal ones: Box & Muller, number i with number i + 8.
function normalise(values, from) {
  for (let i = from; i < from + 8; i++) {
    const radius = Math.sqrt(-2 * Math.log(1 - values[i]));
    const angle = 2 * Math.PI * values[i + 8];
    values[i] = radius * Math.cos(angle);
    values[i + 8] = radius * Math.sin(angle);
  }
}

// `count` numbers, at least 16: torch.randn(count, generator=torch.Generator().manual_seed(seed)).
function normalNoise(seed, count) {
  const twister = new Twister(seed);
  const values = Float32Array.from({ length: count }, () => twister.uniform());
  for (let from = 0; from + 16 <= count; from += 16) normalise(values, from);
  if (count % 16) {
    // the last sixteen are drawn anew, over what stands there
    for (let i = count - 16; i < count; i++) values[i] = twister.uniform();
    normalise(values, count - 16);
  }
  return values;
}
