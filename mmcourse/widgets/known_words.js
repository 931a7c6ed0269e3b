// What to say of words that a model does not know: the nearest it knows. Widgets that name this file
// in `_also` have it, and so has the worker of a page.

// A sentence about unknown words, without capital and full stop.
function complaint(unknown, words) {
  const told = unknown.slice(0, 5).map((word) => [word.slice(0, 30), near(word.slice(0, 30), words)]);
  if (unknown.length === 1 && told[0][1].length)
    return `unknown word '${told[0][0]}'; the nearest known: ${told[0][1].join(", ")}`;
  const parts = told.map(([word, close]) => `'${word}'` + (close.length ? ` (near: ${close.join(", ")})` : ""));
  const rest = unknown.length > 5 ? ` and ${unknown.length - 5} more` : "";
  const text = `unknown word${unknown.length > 1 ? "s" : ""} ${parts.join(", ")}${rest}`;
  if (told.some(([, close]) => close.length)) return text;
  const latin = /^[\x00-\x7f]*$/.test(unknown[0]);
  const written = words.filter((word) => /^[\x00-\x7f]*$/.test(word) === latin);
  const alike = written.length ? written : words;
  const apart = Math.ceil(alike.length / 8) || 1;
  const some = alike.filter((_, i) => i % apart === Math.floor(apart / 2));
  return `${text}; among the ${words.length} known words are ${some.join(", ")}`;
}

// Known words that look like this one; Korean is compared letter by letter.
function near(word, words) {
  const spelled = word.normalize("NFD");
  return words
    .map((one) => [ratio(one.normalize("NFD"), spelled), one.normalize("NFD"), one])
    .filter(([alike]) => alike >= 0.6)
    .sort((a, b) => b[0] - a[0] || (a[1] < b[1] ? 1 : -1))
    .slice(0, 3)
    .map(([, , one]) => one);
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
