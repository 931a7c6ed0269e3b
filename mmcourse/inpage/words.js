// Captions to numbers, and a word for what cannot be read: as mmcourse.diffusion's Vocabulary.

const [PAD, EMPTY] = [0, 1];

function vocabulary({ words, aliases, length }) {
  const numbers = new Map(words.map((word, i) => [word.normalize("NFC"), 2 + i]));
  const others = new Map(Object.entries(aliases));

  const known = (caption) =>
    caption
      .normalize("NFC")
      .toLowerCase()
      .split(/\s+/u)
      .map((word) => {
        if (!word) return word;
        const bare = numbers.has(word) ? word : word.replace(/^[^\p{L}\p{N}]+|[^\p{L}\p{N}]+$/gu, "");
        return numbers.has(bare) ? bare : (others.get(bare) ?? bare);
      })
      .filter((word) => word);

  // {ids} of a caption, or {problem}: a sentence.
  function encode(caption) {
    const found = known(caption.slice(0, 2000));
    const unknown = [...new Set(found.filter((word) => !numbers.has(word)))];
    if (unknown.length) return { problem: complaint(unknown) };
    if (!found.length) return { problem: "a caption needs at least one word, got an empty one" };
    if (found.length > length) return { problem: `a caption has at most ${length} words, got ${found.length}` };
    const ids = found.map((word) => numbers.get(word));
    return { ids: [...ids, ...Array(length - ids.length).fill(PAD)] };
  }

  function complaint(unknown) {
    const told = unknown.slice(0, 5).map((word) => [word.slice(0, 30), near(word.slice(0, 30))]);
    if (unknown.length === 1 && told[0][1].length)
      return `unknown word '${told[0][0]}'; the nearest known: ${told[0][1].join(", ")}`;
    const parts = told.map(([word, close]) => `'${word}'` + (close.length ? ` (near: ${close.join(", ")})` : ""));
    const rest = unknown.length > 5 ? ` and ${unknown.length - 5} more` : "";
    const text = `unknown word${unknown.length > 1 ? "s" : ""} ${parts.join(", ")}${rest}`;
    if (told.some(([, close]) => close.length)) return text;
    const latin = /^[\x00-\x7f]*$/.test(unknown[0]);
    const alike = words.filter((word) => /^[\x00-\x7f]*$/.test(word) === latin);
    const apart = Math.ceil(alike.length / 8) || 1;
    const some = alike.filter((_, i) => i % apart === Math.floor(apart / 2));
    return `${text}; among the ${words.length} known words are ${some.join(", ")}`;
  }

  // Known words that look like this one; Korean is compared letter by letter.
  function near(word) {
    const spelled = word.normalize("NFD");
    return words
      .map((one) => [ratio(one.normalize("NFD"), spelled), one.normalize("NFD"), one])
      .filter(([alike]) => alike >= 0.6)
      .sort((a, b) => b[0] - a[0] || (a[1] < b[1] ? 1 : -1))
      .slice(0, 3)
      .map(([, , one]) => one);
  }

  // The words of numbers, padding left out.
  const spoken = (ids) => ids.filter((id) => id > EMPTY).map((id) => words[id - 2]);

  const empty = [EMPTY, ...Array(length - 1).fill(PAD)];
  return { encode, spoken, empty };
}

// Ratcliff & Obershelp: twice the letters in common blocks over all letters, as Python's difflib.
function ratio(a, b) {
  return a.length + b.length ? (2 * common([...a], [...b])) / ([...a].length + [...b].length) : 1;
}

function common(a, b) {
  let [best, at, bt] = [0, 0, 0];
  let row = new Map();
  for (let i = 0; i < a.length; i++) {
    const next = new Map();
    for (let j = 0; j < b.length; j++) {
      if (a[i] !== b[j]) continue;
      const run = (row.get(j - 1) ?? 0) + 1;
      next.set(j, run);
      if (run > best) [best, at, bt] = [run, i - run + 1, j - run + 1];
    }
    row = next;
  }
  if (!best) return 0;
  return best + common(a.slice(0, at), b.slice(0, bt)) + common(a.slice(at + best), b.slice(bt + best));
}
