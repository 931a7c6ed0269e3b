// Captions to numbers, and a word for what cannot be read: as mmcourse.diffusion's Vocabulary.
// known_words.js of the widgets stands before this text.

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
    if (unknown.length) return { problem: complaint(unknown, words) };
    if (!found.length) return { problem: "a caption needs at least one word, got an empty one" };
    if (found.length > length) return { problem: `a caption has at most ${length} words, got ${found.length}` };
    const ids = found.map((word) => numbers.get(word));
    return { ids: [...ids, ...Array(length - ids.length).fill(PAD)] };
  }

  // The words of numbers, padding left out.
  const spoken = (ids) => ids.filter((id) => id > EMPTY).map((id) => words[id - 2]);

  const empty = [EMPTY, ...Array(length - 1).fill(PAD)];
  return { encode, spoken, empty };
}
